from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from al_assets.assets.loop_assets import ITERATIONS, loop_asset, table_output
from al_assets.assets.provenance import HISTORY_PAGE, build_provenance
from al_assets.storage.io import TableIOManager
from al_assets.storage.root import RunRoot
from al_assets.storage.warehouse import load_models, run_model

SOURCE = dg.AssetSpec("pool_source")


@dataclass
class Loop:
    """A small loop, shaped like the real one: source -> pool -> scores -> report, model -> scores, report -> model.

    ``settings`` are the code versions, ``contents`` what the steps make; both may be changed between runs.
    """

    root: RunRoot
    instance: dg.DagsterInstance
    settings: dict[str, str] = field(default_factory=lambda: {"incumbent_model": "m1", "pool": "p1", "scores": "s1"})
    contents: dict[str, int] = field(default_factory=dict)
    more: list[dg.AssetsDefinition] = field(default_factory=list)

    def assets(self) -> list[dg.AssetsDefinition]:
        def made(name: str) -> dg.Output[pl.DataFrame]:
            return table_output(pl.DataFrame({"value": [self.contents.get(name, 0)]}))

        @loop_asset("pool", set(), code_version=self.settings["incumbent_model"])
        def incumbent_model() -> dg.Output[pl.DataFrame]:
            return made("incumbent_model")

        @loop_asset("pool", set(), deps=[SOURCE], code_version=self.settings["pool"])
        def pool() -> dg.Output[pl.DataFrame]:
            return made("pool")

        @loop_asset("pool", set(), code_version=self.settings["scores"])
        def scores(pool: pl.DataFrame, incumbent_model: pl.DataFrame) -> dg.Output[pl.DataFrame]:
            return made("scores")

        @loop_asset("learning", set(), deps=["scores"])
        def kappa_report() -> dg.Output[pl.DataFrame]:
            return made("kappa_report")

        return [incumbent_model, pool, scores, kappa_report, *self.more]

    def run(self, key: str, *names: str) -> None:
        """Materialize the named assets (all if none) of an iteration."""
        self.instance.add_dynamic_partitions(ITERATIONS.name or "", [key])
        done = dg.materialize(
            [SOURCE, *self.assets()], partition_key=key, selection=list(names) or None, instance=self.instance,
            # Frames this small would not pass the real tables' schemas.
            resources={"io_manager": dg.FilesystemIOManager(base_dir=str(self.root.base / "pickled"))},
        )  # fmt: skip
        assert done.success

    def provenance(self) -> dict[str, pl.DataFrame]:
        """Materialize the provenance and read back its two tables."""
        assets = self.assets()
        done = dg.materialize(
            [SOURCE, *assets, build_provenance(assets)], selection=["materializations", "dependencies"],
            instance=self.instance, resources={"io_manager": TableIOManager(base_dir=str(self.root.base))},
        )  # fmt: skip
        assert done.success
        names = ("materializations", "dependencies")
        return {name: pl.read_parquet(Path(self.root.table_path(name).path)) for name in names}

    def reasons(self) -> dict[str, str | None]:
        """Return ``asset[iteration]`` -> why it is out of date."""
        found = run_model(load_models()["staleness"], self.root, self.provenance())
        return {f"{each['asset']}[{each['iteration']}]": each["reason"] for each in found.to_dicts()}

    def stale(self) -> dict[str, str]:
        return {place: reason for place, reason in self.reasons().items() if reason is not None}

    def announce(self, key: str, version: str) -> None:
        """Log, as the report of the iteration before does, what the model of ``key`` will be."""
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization("incumbent_model", partition=key, tags={"dagster/data_version": version})
        )


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Loop(RunRoot(str(tmp_path / "root")), instance)


def test_a_finished_iteration_is_up_to_date_and_recorded_whole(loop: Loop) -> None:
    loop.run("0000")
    run_id = loop.instance.get_run_records(limit=1)[0].dagster_run.run_id
    assert loop.stale() == {}
    frames = loop.provenance()
    found = {each["asset"]: each for each in frames["materializations"].to_dicts()}
    assert list(found) == ["incumbent_model", "pool", "scores", "kappa_report"]
    assert all(each["run_id"] == run_id and each["iteration"] == "0000" for each in found.values())
    assert all(each["data_version"] == each["computed_version"] for each in found.values())
    assert (found["scores"]["code_version_then"], found["scores"]["code_version_now"]) == ("s1", "s1")
    # Without a declared code version Dagster records the run's id; it says nothing about settings.
    assert (found["kappa_report"]["code_version_then"], found["kappa_report"]["code_version_now"]) == (run_id, None)
    # Versions then and now are comparable only if they are hashed the way Dagster does.
    inputs = {(each["asset"], each["upstream"]): each for each in frames["dependencies"].to_dicts()}
    assert set(inputs) == {
        ("pool", "pool_source"), ("scores", "pool"), ("scores", "incumbent_model"), ("kappa_report", "scores"),
    }  # fmt: skip
    assert all(each["version_then"] == each["version_now"] is not None for each in inputs.values())
    assert inputs["pool", "pool_source"]["upstream_iteration"] is None
    assert inputs["scores", "pool"]["upstream_iteration"] == "0000"


def test_an_open_iteration_was_never_materialized(loop: Loop) -> None:
    loop.run("0000")
    loop.run("0001", "incumbent_model", "pool")
    assert loop.stale() == {"scores[0001]": "never materialized", "kappa_report[0001]": "never materialized"}


def test_nothing_was_run_yet(loop: Loop) -> None:
    assert loop.reasons() == {}
    loop.instance.add_dynamic_partitions(ITERATIONS.name or "", ["0000"])
    assert set(loop.reasons().values()) == {"never materialized"}


def test_changed_settings_make_every_iteration_out_of_date_until_it_is_run_again(loop: Loop) -> None:
    loop.run("0000")
    loop.run("0001")
    loop.settings["scores"] = "s2"
    follows = "follows scores, which is out of date"
    changed = "settings changed (code version s1 -> s2)"
    assert loop.stale() == {
        "scores[0000]": changed,
        "kappa_report[0000]": follows,
        # The report decides who labels the next iteration.
        "incumbent_model[0001]": "follows scores of 0000, which is out of date",
        "scores[0001]": changed,
        "kappa_report[0001]": follows,
    }
    loop.contents["scores"] = 1
    loop.run("0000", "scores")
    assert loop.stale() == {
        "kappa_report[0000]": "scores was materialized with other contents after",
        "incumbent_model[0001]": "follows kappa_report of 0000, which is out of date",
        "scores[0001]": changed,
        "kappa_report[0001]": follows,
    }
    loop.run("0000", "kappa_report")
    loop.run("0001", "scores", "kappa_report")
    assert loop.stale() == {}


def test_the_same_contents_again_make_nothing_out_of_date(loop: Loop) -> None:
    loop.run("0000")
    loop.settings["pool"] = "p2"
    loop.run("0000", "pool")
    assert loop.stale() == {}
    loop.contents["pool"] = 1
    loop.run("0000", "pool")
    assert loop.stale() == {
        "scores[0000]": "pool was materialized with other contents after",
        "kappa_report[0000]": "follows scores, which is out of date",
    }


def test_an_announced_model_makes_the_next_iteration_out_of_date_until_it_is_materialized(loop: Loop) -> None:
    loop.run("0000")
    loop.run("0001")
    announced = table_output(pl.DataFrame({"value": [7]})).data_version
    assert announced is not None
    loop.announce("0001", announced.value)
    assert loop.stale() == {
        "incumbent_model[0001]": "other contents were announced for it after",
        "scores[0001]": "incumbent_model was materialized with other contents after",
        "kappa_report[0001]": "follows scores, which is out of date",
    }
    loop.contents["incumbent_model"] = 7
    loop.run("0001", "incumbent_model")
    assert set(loop.stale()) == {"scores[0001]", "kappa_report[0001]"}
    loop.run("0001", "scores", "kappa_report")
    assert loop.stale() == {}


def test_an_announced_model_is_not_yet_materialized(loop: Loop) -> None:
    loop.run("0000")
    loop.instance.add_dynamic_partitions(ITERATIONS.name or "", ["0001"])
    loop.announce("0001", "v")
    assert loop.stale()["incumbent_model[0001]"] == "never materialized"


def test_what_comes_from_the_first_iteration_follows_that_one_alone(loop: Loop) -> None:
    first = dg.AssetDep("pool", partition_mapping=dg.SpecificPartitionsPartitionMapping(["0000"]))

    @loop_asset("learning", set(), deps=[first])
    def head_start() -> dg.Output[pl.DataFrame]:
        return table_output(pl.DataFrame({"value": [loop.contents.get("head_start", 0)]}))

    loop.more.append(head_start)
    loop.run("0000")
    loop.run("0001")
    assert loop.stale() == {}
    inputs = loop.provenance()["dependencies"].filter(asset="head_start")
    assert inputs.select("iteration", "upstream_iteration").rows() == [("0000", "0000"), ("0001", "0000")]
    loop.contents["pool"] = 1
    loop.run("0001", "pool")
    assert not {place for place in loop.stale() if place.startswith("head_start")}
    loop.run("0000", "pool")
    said = "pool was materialized with other contents after"
    assert {place: why for place, why in loop.stale().items() if place.startswith("head_start")} == {
        "head_start[0000]": said, "head_start[0001]": said,
    }  # fmt: skip
    loop.settings["pool"] = "p2"
    loop.run("0000", "head_start")
    loop.run("0001", "head_start", "pool")
    follows = "follows pool of 0000, which is out of date"
    found = loop.stale()
    assert (found["head_start[0001]"], found["head_start[0000]"]) == (follows, "follows pool, which is out of date")


def test_many_announcements_do_not_hide_the_settings_of_the_last_run(loop: Loop) -> None:
    loop.run("0000")
    version = loop.provenance()["materializations"].filter(pl.col("asset") == "incumbent_model")["data_version"][0]
    for _ in range(HISTORY_PAGE + 1):
        loop.announce("0000", version)
    assert loop.stale() == {}
    loop.settings["incumbent_model"] = "m2"
    assert loop.stale()["incumbent_model[0000]"] == "settings changed (code version m1 -> m2)"


def test_an_observed_source_that_changed_makes_the_pool_out_of_date(loop: Loop) -> None:
    def observe(version: str) -> None:
        seen = dg.AssetObservation("pool_source", tags={"dagster/data_version": version})
        loop.instance.report_runless_asset_event(seen)

    observe("first")
    loop.run("0000")
    assert loop.stale() == {}
    observe("second")
    assert loop.stale()["pool[0000]"] == "pool_source was materialized with other contents after"


def test_the_tables_tell_their_columns_meaning(loop: Loop) -> None:
    loop.run("0000")
    loop.provenance()
    for name in ("materializations", "dependencies"):
        event = loop.instance.fetch_materializations(dg.AssetKey(name), limit=1).records[0].asset_materialization
        assert event is not None
        schema: Any = event.metadata["dagster/column_schema"].value
        assert all(column.description for column in schema.columns)
        assert event.metadata["dagster/row_count"].value == 4
