"""Every label teaches and measures: nothing is measured on a student that learnt from it or from its group."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from al_assets.agreement.stopping.conclusion import LLM_0
from al_assets.models import students
from al_assets.models.students import crossfit
from al_assets.partitions import Job
from al_assets.storage.ledger import Adjudication, Vote
from al_assets.storage.root import text_hash
from al_assets_tests.support.small_loop import SmallLoop, failure, pool_rows, write_policy, write_pool
from al_assets_tests.support.votes import crossfits

pytestmark = pytest.mark.slow

KEYS = ("0000", "0001", "0002")
LATE = "late"
"""Answered a round later than it was asked."""


@dataclass
class Life:
    """A loop that lived through three rounds, and what every student of it learnt, by fingerprint."""

    loop: SmallLoop
    taught: dict[str, frozenset[str]]
    marked: dict[str, str] = field(default_factory=dict)

    def table(self, name: str, key: str) -> pl.DataFrame:
        return self.loop.root.read_table(name, key)

    @property
    def queue(self) -> pl.DataFrame:
        with self.loop.loop.ledger() as ledger:
            return ledger.queue()

    def say(self, key: str, labels: Mapping[str, str]) -> None:
        now = datetime.now(UTC)
        votes = [
            Vote(item, key, rater, label, "1", now)
            for item, label in labels.items()
            for rater in ("expert_1", "expert_2")
        ]
        with self.loop.loop.ledger() as ledger:
            ledger.record(votes)

    def decide(self, key: str, item: str, label: str) -> None:
        with self.loop.loop.ledger() as ledger:
            ledger.adjudicate(Adjudication(key, item, label, "judge", None, "1", datetime.now(UTC), f"{item} {label}"))

    def do(self, job: Job, key: str) -> dg.ExecuteInProcessResult:
        done = self.loop.run(job, key)
        assert done.success, failure(done)
        return done

    def conclude(self, key: str, **said: Any) -> None:
        path = self.loop.root.table_path("kappa_report", key)
        report = self.table("kappa_report", key)
        self.loop.root.write_table(path, report.with_columns(**{name: pl.lit(each) for name, each in said.items()}))


def recorded(taught: dict[str, frozenset[str]], train: Callable[..., Any]) -> Callable[..., Any]:
    def train_student(*how: Any, fingerprint: str, **more: Any) -> Any:
        taught[fingerprint] = frozenset(how[2])
        return train(*how, fingerprint=fingerprint, **more)

    return train_student


@pytest.fixture(scope="module")
def life(small_texts: pl.DataFrame, small_embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """Three rounds: one with too few groups for folds, one with all that may happen, and a one-sided one."""
    folder = tmp_path_factory.mktemp("crossfit")
    write_pool(folder, pool_rows(small_texts))
    policy = write_policy(
        folder,
        small_embedder,
        stopping={"check_items": 12},
        calibration={"folds": 35},
        review={"deadline_hours": 1, "deadline_coverage": 0.7},
    )
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patched:
        lived = Life(SmallLoop(policy, instance, small_texts), {})
        train = students.train_student
        for module in (students, crossfit):
            patched.setattr(module, "train_student", recorded(lived.taught, train))
        live(lived)
        yield lived


def live(life: Life) -> None:
    loop = life.loop
    said = {item: "positive" if np.nanmean(votes) > 0.5 else "negative" for item, votes in loop.votes().items()}

    life.do(Job.CURATE, "0000")
    queue = loop.queue("0000")
    life.say("0000", {item: said[item] for item in queue["item_id"]})
    life.do(Job.LEARN, "0000")
    life.say("0000", {item: said[item] for item in check_items(life, "0000")})
    life.do(Job.REPORT, "0000")
    life.conclude("0000", promoted=False, recommended="0000")

    life.do(Job.CURATE, "0001")
    queue = loop.queue("0001")
    pairs = queue.drop_nulls("pair_id").group_by("pair_id", maintain_order=True).agg("item_id")["item_id"].to_list()
    life.marked = {"gap": pairs[0][0], LATE: pairs[1][0], "overturned": pairs[2][0], "undecided": pairs[3][0]}
    answers = {item: said[item] for item in queue["item_id"] if item != life.marked[LATE]}
    life.say("0001", {**answers, life.marked["undecided"]: "undecided"})
    life.decide("0001", life.marked["gap"], "guideline gap")
    life.decide(
        "0001", life.marked["overturned"], "positive" if said[life.marked["overturned"]] == "negative" else "negative"
    )
    life.do(Job.LEARN, "0001")
    life.say("0001", {item: said[item] for item in check_items(life, "0001")})
    before = life.table("sft_checkpoint", "0001")
    life.do(Job.REPORT, "0001")
    assert life.table("sft_checkpoint", "0001").equals(before)
    # Three models, each another: the student of 0002, that of 0001 as incumbent, and that of 0000 recommended.
    life.conclude("0001", promoted=True, recommended="0000")

    life.do(Job.CURATE, "0002")
    life.say("0001", {life.marked[LATE]: said[life.marked[LATE]]})
    life.say("0002", dict.fromkeys(loop.queue("0002")["item_id"], "negative"))
    life.do(Job.LEARN, "0002")
    life.say("0002", dict.fromkeys(check_items(life, "0002"), "negative"))
    life.do(Job.REPORT, "0002")


def check_items(life: Life, key: str) -> list[str]:
    with life.loop.loop.ledger() as ledger:
        return ledger.queue(key).filter(reason="check")["item_id"].to_list()


def honest_values(life: Life, key: str, texts: list[str], group: frozenset[str]) -> list[float]:
    """Return what students that learnt nothing of a group make of a text, those of folds on the scale of the key's."""
    root, student = life.loop.root, life.table("sft_checkpoint", key)["fingerprint"][0]
    pool = life.table("pool", key)
    stop_set = life.table("evaluation_scores", key).filter(role="stop_set").select("item_id")
    sample = [text_hash(text) for text in stop_set.join(pool, on="item_id", maintain_order="left")["text"]]
    wanted = np.asarray(root.scores(student).get(sample), dtype=np.float64)
    values = []
    for fingerprint, learnt in life.taught.items():
        store, hashes = root.scores(fingerprint), [text_hash(text) for text in texts]
        if learnt & group or store.known(hashes) < set(hashes):
            continue
        own = np.asarray(store.get(hashes), dtype=np.float64)
        values += own.tolist()
        if store.known(sample) >= set(sample):
            values += crossfit.rescaled(own, np.asarray(store.get(sample), dtype=np.float64), wanted).tolist()
    return values


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("who", ["student", "incumbent", "recommended"])
def test_no_score_comes_from_a_student_that_learnt_from_the_item_or_its_group(life: Life, key: str, who: str) -> None:
    models = {
        "student": key,
        "incumbent": life.table("incumbent_model", key)["promoted_from"][0],
        "recommended": None if key == "0000" else "0000",
    }
    queue = life.queue.unique("item_id", keep="first", maintain_order=True)
    text_of = dict(queue.select("item_id", "text").iter_rows())
    split = life.table("label_split", key).filter(pl.col("split") != "fine-tuning")
    scores = life.table("evaluation_scores", key).filter(role="evaluation").drop_nulls(f"p_{who}")
    rows = split.join(scores, on="item_id")
    iteration = models[who]
    assert rows.height == (0 if (who, key) == ("recommended", "0000") else split.height)
    if iteration is None:
        # LLM-0 learnt from nothing.
        return
    for item, group, value in rows.select("item_id", "group_id", f"p_{who}").iter_rows():
        members = frozenset(text_of[each] for each in queue.filter(group_id=group)["item_id"])
        found = honest_values(life, iteration, [text_of[item]], members)
        assert np.isclose(found, value, rtol=0, atol=1e-9).any(), (item, value, found)


def test_the_student_learns_from_every_label_but_the_check_items_of_its_own_round(life: Life) -> None:
    for key in KEYS[1:]:
        split = life.table("label_split", key)
        assert crossfits(split)
        present = (split["reason"] == "check") & (split["iteration"] == key)
        assert present.sum() == 12
        assert split["teaches"].equals(split["positive_share"].is_not_null() & ~present)
        assert life.table("sft_checkpoint", key)["training_items"][0] == split["teaches"].sum()
        assert not split.filter(pl.col("reason") == "check", "teaches").is_empty()
        assert split.filter("teaches")["fold"].null_count() == 0
        assert (split.drop_nulls("fold").group_by("group_id").agg(pl.col("fold").n_unique())["fold"] == 1).all()


def test_without_enough_groups_for_folds_items_are_held_out_and_only_teach_ever_after(life: Life) -> None:
    first = life.table("label_split", "0000")
    assert not crossfits(first)
    assert first["fold"].null_count() == first.height
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("label_split"), asset_partitions=["0000"])
    (record,) = life.loop.instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    said = record.asset_materialization.metadata["evaluation"].value
    assert str(said).startswith("held_out, as the labels so far cannot be put in folds: calibration.folds: 35 folds of")
    taught = set(first.filter(split="fine-tuning")["group_id"])
    assert taught
    for key in KEYS[1:]:
        assert set(life.table("label_split", key).filter(split="fine-tuning")["group_id"]) == taught


def test_a_gap_and_a_late_answer_are_judged_with_their_group(life: Life) -> None:
    gap, late = (life.table("label_split", "0002").filter(item_id=life.marked[name]) for name in ("gap", LATE))
    assert not gap["teaches"].item()
    assert late["teaches"].item()
    assert gap["fold"].item() is not None
    scored = life.table("evaluation_scores", "0001").filter(role="evaluation")
    assert life.marked[LATE] in scored["item_id"].to_list()
    assert life.marked[LATE] not in life.table("label_split", "0001")["item_id"].to_list()


def test_out_of_fold_scores_are_those_the_items_are_evaluated_by(life: Life) -> None:
    scores = life.table("evaluation_scores", "0002")
    taught = life.table("label_split", "0002").filter("teaches")
    of_folds = scores.filter(role="out_of_fold")
    assert sorted(of_folds["item_id"]) == sorted(taught["item_id"])
    both = of_folds.join(scores.filter(role="evaluation"), on="item_id")
    assert both["p_student"].equals(both["p_student_right"].alias("p_student"))
    assert life.table("kappa_report", "0001")["recommended"][0] != LLM_0
