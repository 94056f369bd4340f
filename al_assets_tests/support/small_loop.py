"""A small, fast loop for tests: 400 real remarks, labelling functions, a static embedder, a linear student."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import yaml
from dagster._core.execution.build_resources import wrap_resources_for_execution

import al_assets.assets
from al_assets.assets.loop_assets import loop_assets
from al_assets.assets.queue import check_queue
from al_assets.assets.resource import LoopResource
from al_assets.automation.jobs import tables_of_jobs
from al_assets.automation.requests import run_request
from al_assets.automation.state import Step
from al_assets.config import Policy, load_policy
from al_assets.definitions import build
from al_assets.demo.fetch import static_model_directory
from al_assets.demo.vader import Votes, drop_votes, expert_votes
from al_assets.partitions import PARTITIONS_NAME, Job
from al_assets.review.files.drop_folder import collect
from al_assets.storage.root import RunRoot
from al_assets_tests.support.policies import with_sections

RATERS = ["expert_1", "expert_2", "expert_3"]
LOOP_ASSETS = [asset for asset in loop_assets(al_assets.assets) if asset is not check_queue]
"""The loop's own assets under a policy that asks for no check items."""
JOB_TABLES = tables_of_jobs(LOOP_ASSETS, ())
"""The tables that each of its jobs makes, marts aside."""
Row = dict[str, Any]


def write_small_embedder(folder: Path, texts: Iterable[str]) -> Path:
    """Write the demo's static embedder cut down to the words of some texts, which loads a hundred times faster."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    lower, split = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(lower.normalize_str(text))})
    full = StaticModel.from_pretrained(str(static_model_directory()))
    vectors = np.concatenate([np.zeros((1, full.dim), np.float32), full.encode(words)])
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = lower, split
    StaticModel(vectors, tokenizer, config={"normalize": True}).save_pretrained(str(folder))
    return folder


def small_policy(embedder: Path, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy file's content; a section given is merged into the default one."""
    static = {"kind": "static", "model": str(embedder)}
    content: dict[str, dict[str, Any]] = {
        "policy": {
            "name": "strongly_negative",
            "question": "Is this remark strongly negative?",
            "guideline": "A remark is strongly negative when its author condemns.",
            "expected_prevalence": 0.15,
        },
        "pool": {"path": "pool.jsonl"},
        "labeler": {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]},
        "embedding": static,
        "selection": {"budget": 40, "shares": {"boundary": 0.6, "audit": 0.3, "control": 0.1}, "audit_strata": 2},
        "review": {"raters": RATERS, "votes_per_item": 2},
        "student": {"kind": "linear", "embedding": dict(static)},
        "stopping": {"stop_set_size": 60, "resamples": 200},
        "storage": {"root": "runs"},
    }
    return with_sections(content, sections)


def write_policy(folder: Path, embedder: Path, **sections: Mapping[str, Any]) -> Path:
    """Write the policy file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(small_policy(embedder, **sections), sort_keys=False), encoding="utf-8")
    return file


def write_pool(folder: Path, rows: Iterable[Row]) -> Path:
    """Write the pool as JSONL and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def pool_rows(texts: pl.DataFrame) -> list[Row]:
    """Return the rows of a pool file."""
    return [{"id": row["item_id"], "text": row["text"]} for row in texts.iter_rows(named=True)]


class InMemoryScheduleContext(dg.ScheduleEvaluationContext):
    """What ``build_schedule_context`` gives, for an instance in memory: Dagster's own opens only those on disk."""

    def __init__(self, instance: dg.DagsterInstance, loop: LoopResource) -> None:
        super().__init__(None, None, resources=wrap_resources_for_execution({"loop": loop}))
        self._in_memory = instance

    @property
    def instance(self) -> dg.DagsterInstance:
        """The instance in memory."""
        return self._in_memory


@dataclass
class SmallLoop:
    """A policy folder with its Dagster instance, driven as the sensor would."""

    policy_file: Path
    instance: dg.DagsterInstance
    texts: pl.DataFrame
    definitions: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.definitions = build(str(self.policy_file))

    @property
    def loop(self) -> LoopResource:
        """The loop's resource, with the policy as it stands in the file now."""
        return LoopResource(policy_path=str(self.policy_file))

    @property
    def policy(self) -> Policy:
        """The policy as it stands in the file now."""
        return load_policy(self.policy_file)

    @property
    def root(self) -> RunRoot:
        """Where the loop keeps its tables."""
        return self.loop.root

    def run(
        self,
        job: Job | str,
        key: str,
        *,
        selection: list[str] | None = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run a job as a person would from the UI, or some of its assets."""
        self.instance.add_dynamic_partitions(PARTITIONS_NAME, [key])
        return self.definitions.resolve_job_def(str(job)).execute_in_process(
            instance=self.instance, partition_key=key, raise_on_error=False, tags=dict(tags or {}),
            run_config=None if config is None else {"ops": {name: {"config": each} for name, each in config.items()}},
            asset_selection=None if selection is None else [dg.AssetKey(name) for name in selection],
        )  # fmt: skip

    def run_step(self, step: Step) -> dg.ExecuteInProcessResult:
        """Run what the state machine asks for."""
        return self.run_request(run_request(step, self.policy.policy.name), str(step.job))

    def run_request(self, request: dg.RunRequest, job: str | None = None) -> dg.ExecuteInProcessResult:
        """Run what a sensor or schedule asks for, as the daemon would."""
        if request.asset_selection and job is None:
            whole = self.definitions.resolve_implicit_global_asset_job_def()
            return whole.execute_in_process(
                instance=self.instance, partition_key=request.partition_key, raise_on_error=False,
                tags=dict(request.tags), asset_selection=list(request.asset_selection),
            )  # fmt: skip
        return self.run(str(job or request.job_name), str(request.partition_key), tags=request.tags)

    def sense(self) -> dg.SensorResult | dg.SkipReason:
        """Evaluate the sensor once, as the daemon would; a partition it asks for is added only by ``grant``."""
        context = dg.build_sensor_context(instance=self.instance, resources={"loop": self.loop})
        found = self.definitions.resolve_sensor_def("loop_sensor")(context)
        assert isinstance(found, (dg.SensorResult, dg.SkipReason))
        return found

    def nightly(self) -> dg.RunRequest | dg.SkipReason:
        """Evaluate the schedule once."""
        schedule = self.definitions.resolve_schedule_def("nightly")
        if self.instance.is_persistent:
            with dg.build_schedule_context(instance=self.instance, resources={"loop": self.loop}) as context:
                found = schedule(context)
        else:
            found = schedule(InMemoryScheduleContext(self.instance, self.loop))
        assert isinstance(found, (dg.RunRequest, dg.SkipReason))
        return found

    def grant(self, result: dg.SensorResult) -> dg.RunRequest:
        """Add the partitions a sensor asks for and return the run it asks for."""
        for each in result.dynamic_partitions_requests or []:
            assert isinstance(each, dg.AddDynamicPartitionsRequest)
            self.instance.add_dynamic_partitions(each.partitions_def_name, list(each.partition_keys))
        assert result.run_requests is not None
        (request,) = result.run_requests
        return request

    def votes(self) -> Votes:
        """Each item's votes by the three simulated experts."""
        return expert_votes(self.texts, len(RATERS))

    def drop(self, key: str, votes: Votes | None = None, *, experts: Sequence[str] = RATERS) -> None:
        """Let the experts drop their files of votes on an iteration's queue, written a minute ago."""
        with self.loop.ledger() as ledger:
            queue = ledger.queue(key)
        for name in drop_votes(queue, key, self.votes() if votes is None else votes, self.policy, self.root):
            file = self.root.inbox / name
            if not any(expert in name for expert in experts):
                file.unlink()
            elif self.root.is_local:
                os.utime(file.path, (file.stat().st_atime, file.stat().st_mtime - 60))

    def answer(self, key: str, votes: Votes | None = None) -> None:
        """Let the experts answer an iteration's queue, and read the drop folder."""
        self.drop(key, votes)
        with self.loop.ledger() as ledger:
            for report in collect(self.root.inbox, ledger, self.policy, min_age_seconds=0):
                assert not report.rejected
                assert report.unreadable is None

    def queue(self, key: str) -> pl.DataFrame:
        """The queue as it was published."""
        return self.root.read_table("review_queue", key)


MakeLoop = Callable[..., SmallLoop]
"""See the fixture ``make_loop``."""


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Return what the first failed step said, with its causes."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            said = []
            while error is not None:
                said.append(error.message)
                error = error.cause
            return "\n".join(said)
    raise AssertionError("no step failed")
