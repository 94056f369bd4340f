"""An asset and a strategy of another package join the loop by being declared, and no list is touched."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import dagster as dg
import polars as pl
import pytest

from al_assets.assets.loop_assets import Declaration, code_versions, declared, loop_asset, loop_assets
from al_assets.config import load_policy
from al_assets.curation.queue.explain import why_sentences
from al_assets.curation.strategies.registry import DECLARED
from al_assets.definitions import build
from al_assets.partitions import Job
from al_assets.tables import QUARANTINE, TABLES
from al_assets_tests.support.small_loop import MakeLoop, failure, write_policy

STRATEGY = """
import numpy as np
from dataclasses import dataclass
from al_assets.curation.strategies.base import lowest
from al_assets.curation.strategies.registry import ranking


@ranking("by_item_id", sentence="Picked for its id.", order="ids, the first first")
@dataclass(frozen=True)
class ByItemId:
    reason: str = "by_item_id"

    def rank(self, candidates, count, seed):
        return lowest(candidates, candidates.item_ids.rank("ordinal").to_numpy().astype(float), count, seed)
"""
ASSET = '''
import polars as pl
from al_assets.assets.loop_assets import Declaration, loop_asset, table_output
from al_assets.partitions import Job
from al_assets.tables import Column, Table

LENGTHS = Table(
    "text_lengths", ("item_id",),
    item_id=Column(pl.String, "the item"), characters=Column(pl.Int64, "of its text"),
)


@loop_asset("pool", set(), Declaration(
    LENGTHS, Job.CURATE, algorithm=3, depends_on=lambda policy: [str(policy.pool.max_characters)]
))
def text_lengths(pool: pl.DataFrame):
    """How long the texts are."""
    return table_output(pool.select("item_id", characters=pl.col("text").str.len_chars()))
'''


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of another team, with an asset and a strategy."""
    folder = tmp_path / "guest_of_the_loop"
    folder.mkdir()
    for name, source in (("__init__", ""), ("lengths", ASSET), ("by_item_id", STRATEGY)):
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module(folder.name)
    DECLARED.pop("by_item_id", None)
    TABLES.pop("text_lengths", None)
    for name in [each for each in sys.modules if each.startswith(folder.name)]:
        del sys.modules[name]


def test_a_declared_asset_is_in_its_job_has_a_code_version_and_a_checked_table(
    guest: ModuleType, tmp_path: Path, small_embedder: Path
) -> None:
    policy = write_policy(tmp_path, small_embedder, pool={"max_characters": 77})
    definitions = build(str(policy), guest)
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert specs["text_lengths"].code_version == "3-77"
    keys = {
        job: {key.to_user_string() for key in definitions.resolve_job_def(job).asset_layer.executable_asset_keys}
        for job in ("curate", "learn")
    }
    assert "text_lengths" in keys["curate"] - keys["learn"]
    upstream = {dep.asset_key.to_user_string() for dep in specs["materializations"].deps}
    assert "text_lengths" in upstream
    assert code_versions(loop_assets(guest), load_policy(policy)) == {"text_lengths": "3-77"}
    with pytest.raises(ValueError, match="text_lengths: missing columns"):
        TABLES["text_lengths"].check(pl.DataFrame({"item_id": ["a"]}))


def test_a_declared_strategy_can_be_named_in_the_policy_and_explains_itself(
    guest: ModuleType, make_loop: MakeLoop
) -> None:
    import_module(f"{guest.__name__}.by_item_id")
    small = make_loop(selection={"strategy": "by_item_id"})
    run = small.run("curate", "0000")
    assert run.success, failure(run)
    row = small.queue("0000").filter(reason="by_item_id").row(0, named=True)
    said = " ".join(why_sentences(row))
    assert said.startswith("Picked for its id.")
    assert "in the order of ids, the first first." in said


def test_a_declaration_of_other_tables_than_the_asset_makes_is_refused() -> None:
    @loop_asset("pool", set())
    def a_table() -> dg.Output[pl.DataFrame]:
        raise NotImplementedError

    with pytest.raises(ValueError, match=r"tables \['quarantine'\] of an asset that makes \['a_table'\]"):
        declared(Declaration(QUARANTINE, Job.CURATE))(a_table)
