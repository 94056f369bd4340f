"""A finished run of three iterations on disk, made from a simulated loop: every table a report reads."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import yaml

from al_assets.agreement.core.figures import estimate_of
from al_assets.agreement.population.student_threshold import student_labels
from al_assets.agreement.stopping.rules import StoppingRules
from al_assets.config import Policy, load_policy
from al_assets.storage.pool_frame import asked_so_far, pool_frame
from al_assets.storage.root import RunRoot, text_hash
from al_assets.tables import REVIEW_QUEUE, TABLES, WHY_QUEUED
from al_assets_tests.support.reports import report_frame
from al_assets_tests.support.simulated_loop import World, make_world
from al_assets_tests.support.small_loop import small_policy

KEYS = ("0000", "0001", "0002")


SCRIPT = "<script>alert(1)</script>"


HOSTILE = (
    SCRIPT,
    "</style></table><img src=//evil.example/x onerror=alert(1)>",
    'a "quoted" & $x_1$ {{ 7 * 7 }} {% x %}',
)


RATER = "<i>r0</i> $x$"


def small_world() -> World:
    """A simulated loop of 240 items, half of the later ones for fine-tuning; the first rater's name is markup."""
    world = make_world(items=240, skill=4)
    later = (pl.col("iteration") > "0000") & (pl.col("reason") != "audit") & (pl.col("item_id").hash(0) % 2 == 0)
    split = world.split.with_columns(split=pl.when(later).then(pl.lit("fine-tuning")).otherwise("split"))
    learned = split.filter(pl.col("split") == "fine-tuning").select("item_id")
    evaluation = world.scores.filter(pl.col("role") == "evaluation")
    nothing = {"p_incumbent": pl.lit(None, dtype=pl.Float64), "incumbent_label": pl.lit(None, dtype=pl.Boolean)}
    held_out = evaluation.join(learned, on="item_id", how="semi").with_columns(role=pl.lit("out_of_fold"), **nothing)
    stop_set = world.scores.filter(pl.col("role") == "stop_set").head(300)
    return replace(
        world,
        votes=world.votes.with_columns(pl.col("rater").replace("r0", RATER)),
        split=split,
        scores=pl.concat([evaluation.join(learned, on="item_id", how="anti"), stop_set, held_out]),
    )


def write_run(folder: Path, world: World) -> Policy:
    """Write the tables of three finished iterations and return their policy."""
    folder.mkdir(parents=True, exist_ok=True)
    content = small_policy(folder, stopping={"resamples": 200})
    content["policy"]["question"] = f"Is it {SCRIPT}?"
    (folder / "policy.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    policy = load_policy(folder / "policy.yaml")
    texts = _texts(world)
    history: dict[str, pl.DataFrame] = {}
    earlier: dict[str, pl.DataFrame] = {}
    for key in KEYS:
        votes = _votes(world, key)
        split = _split(world.split.filter(pl.col("iteration") <= key), votes)
        root = RunRoot(policy.root)
        _write(root, key, _others(world, key, texts))
        report = report_frame(
            iteration=key,
            votes=votes,
            split=split,
            scores=world.scores,
            expected_prevalence=policy.policy.expected_prevalence,
            labels=split.height,
            rules=StoppingRules(window=policy.stopping.window),
            history=history,
            earlier_labels=earlier,
            resamples=200,
            watermark=int(str(votes["seq"].max())),
            asked=asked_so_far(root, key),
            frame=pool_frame(root, key),
        )
        frames = {
            "kappa_report": report,
            "expert_labels": votes,
            "label_split": split,
            "evaluation_scores": world.scores.with_columns(p_recommended=pl.lit(None, dtype=pl.Float64)),
        }
        _write(root, key, frames)
        history[key] = report
        earlier[key] = student_labels(world.scores, estimate_of(report, "threshold", "pool"))
    return policy


def _write(root: RunRoot, key: str, frames: dict[str, pl.DataFrame]) -> None:
    for name, frame in frames.items():
        root.write_table(root.table_path(name, key), TABLES[name].check(frame))


def _texts(world: World) -> pl.DataFrame:
    ids = pl.concat([world.votes["item_id"], world.scores["item_id"]]).unique().sort()
    texts = [f"{HOSTILE[at % len(HOSTILE)]} {item}" for at, item in enumerate(ids)]
    return pl.DataFrame({"item_id": ids, "text": texts})


def _votes(world: World, key: str) -> pl.DataFrame:
    kept = world.votes.filter(pl.col("iteration") <= key).sort("iteration", "item_id", "rater")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return kept.with_columns(
        seq=pl.int_range(1, kept.height + 1, dtype=pl.Int64),
        policy_version=pl.when(pl.col("iteration") == "0000").then(pl.lit("1")).otherwise(pl.lit("2")),
        voted_at=pl.Series([start + timedelta(minutes=at) for at in range(kept.height)]),
        comment=pl.when(pl.col("label") == "undecided").then(pl.lit(f"unclear {SCRIPT}")).otherwise(None),
        pair_id=pl.lit(None, dtype=pl.String),
        first_label=pl.col("label"),
        adjudicated=pl.lit(None, dtype=pl.String),
        as_of=pl.lit(kept.height, dtype=pl.Int64),
    )


def _split(split: pl.DataFrame, votes: pl.DataFrame) -> pl.DataFrame:
    counted = votes.group_by("item_id").agg(
        pl.col("group_id").first(),
        (pl.col("label") == "positive").sum().cast(pl.Int64).alias("positive_votes"),
        (pl.col("label") == "negative").sum().cast(pl.Int64).alias("negative_votes"),
        (pl.col("label") == "undecided").sum().cast(pl.Int64).alias("undecided_votes"),
    )
    majority = pl.col("positive_votes") - pl.col("negative_votes")
    label = pl.when(majority > 0).then(True).when(majority < 0).then(False)
    share = pl.col("positive_votes") / (pl.col("positive_votes") + pl.col("negative_votes"))
    return split.join(counted, on="item_id").with_columns(
        label=label,
        positive_share=share.fill_nan(None),
        teaches=(pl.col("split") == "fine-tuning") & share.is_not_nan(),
        fold=pl.lit(None, dtype=pl.Int64),
        adjudicated=pl.lit(None, dtype=pl.String),
    )


def _others(world: World, key: str, texts: pl.DataFrame) -> dict[str, pl.DataFrame]:
    nothing = pl.lit(None, dtype=pl.String)
    queued = world.votes.filter(pl.col("iteration") == key).unique("item_id").sort("item_id").join(texts, on="item_id")
    unknown = [pl.lit(None, REVIEW_QUEUE.columns[name].dtype).alias(name) for name in WHY_QUEUED]
    queued = queued.with_columns(*unknown, pair_id=nothing, revision=pl.lit(0))
    hashes = pl.Series([text_hash(text) for text in texts["text"]])
    scored = world.scores.filter(pl.col("incumbent_label").is_not_null()).unique("item_id")
    called = (
        texts.select("item_id")
        .join(scored, on="item_id", how="left")
        .with_columns(pl.col("p_incumbent").fill_null(0.1), pl.col("incumbent_label").fill_null(False))
    )
    student = {
        "uri": f"checkpoints/{key}", "fingerprint": f"f{key}", "kind": "linear", "base_model": "static",
        "method": "linear", "data_fingerprint": f"d{key}", "training_items": 10, "positive_items": 4, "steps": [1],
        "losses": [0.5], "seconds": 1.0, "head_start": "h" if key < KEYS[-1] else None, "note": "",
    }  # fmt: skip
    shown = texts["item_id"].to_list()
    region = {
        "region": 0, "name": f"0: {SCRIPT}", "typical_items": shown[:3], "direction": [0.0], "offset": 0.0,
    }  # fmt: skip
    overlap = {
        "region": 0, "name": f"0: {SCRIPT}", "items": len(shown), "positive_share": 0.2, "overlap": 0.4,
        "density": 0.8, "mixing": 0.5, "labels": 12, "overturned": 3, "error": 0.21, "error_low": 0.12,
        "error_high": 0.34, "x": 0.0, "y": 0.0, "positive_examples": shown[3:5], "negative_examples": shown[5:7],
    }  # fmt: skip
    incumbent = {"kind": "llm0", "uri": "functions", "fingerprint": "f", "threshold": None, "promoted_from": None}
    return {
        "review_queue": queued.select(list(TABLES["review_queue"].columns)),
        "pool": texts.with_columns(
            text_hash=hashes,
            source=nothing,
            arrived_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
            duplicate_of=nothing,
            weight=pl.lit(None, dtype=pl.Float64),
        ),
        "pseudo_labels": called.select(
            "item_id",
            p_positive="p_incumbent",
            label="incumbent_label",
            threshold=pl.lit(0.5),
            labeler_fingerprint=pl.lit("f"),
            disagreement=pl.lit(None, dtype=pl.Float64),
        ),
        "regions": pl.DataFrame([region]),
        "overlap_map": pl.DataFrame([overlap]),
        "incumbent_model": pl.DataFrame([incumbent]),
        "sft_checkpoint": pl.DataFrame([student]),
    }
