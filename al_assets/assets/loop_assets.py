"""How an asset of the loop is declared, once, where it is written; and what all of them have in common.

The code version of an asset, the job that it belongs to and the columns of its table follow from its declaration.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg
import polars as pl

from al_assets.config import Policy, fingerprint_of
from al_assets.partitions import PARTITIONS_NAME, Job, previous_key
from al_assets.storage.root import RunRoot, data_version
from al_assets.tables import TABLES, Table

ITERATIONS = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
OWNERS = ["team:al-assets"]
LOOP_POOL = "al_loop"
"""Every loop asset claims this pool; with one slot per run it keeps iterations in order, however a run was started."""

TableOutput = dg.Output[pl.DataFrame]


@dataclass(frozen=True)
class Declaration:
    """What is declared of a table together with the asset that makes it.

    :param job: the job of an iteration that makes it.
    :param algorithm: raise it when a change of the code changes what the table holds.
    :param depends_on: fingerprints or values of what, in the policy, the table depends on; what other tables bring
        along is left out.
    :param wanted: whether a policy asks for it; else it is not in the graph.
    """

    table: Table
    job: Job
    algorithm: int = 1
    depends_on: Callable[[Policy], Sequence[str]] = lambda _: ()
    wanted: Callable[[Policy], bool] = lambda _: True

    def code_version(self, policy: Policy) -> str:
        """Return the algorithm's number and a fingerprint of what the table depends on, such as ``2-9fd4ad1c2a42``."""
        parts = list(self.depends_on(policy))
        if not parts:
            return str(self.algorithm)
        return f"{self.algorithm}-{parts[0] if len(parts) == 1 else fingerprint_of(parts)}"


_DECLARED: WeakKeyDictionary[dg.AssetsDefinition, tuple[Declaration, ...]] = WeakKeyDictionary()


def loop_asset(
    group: str, kinds: set[str], declaration: Declaration | None = None, **arguments: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare an asset of the loop, partitioned by iteration, which makes one table.

    :param group: the stage of the loop it belongs to: pool, curation, experts or learning.
    :param declaration: None for an asset that no job of the loop makes.
    """

    def declare(function: Callable[..., Any]) -> dg.AssetsDefinition:
        made = dg.asset(
            partitions_def=ITERATIONS, owners=OWNERS, group_name=group, kinds=kinds, pool=LOOP_POOL, **arguments
        )(function)
        return made if declaration is None else declared(declaration)(made)

    return declare


def declared(*declarations: Declaration) -> Callable[[dg.AssetsDefinition], dg.AssetsDefinition]:
    """Declare the tables of an asset that makes several."""

    def declare(definition: dg.AssetsDefinition) -> dg.AssetsDefinition:
        named, made = [each.table.name for each in declarations], [key.path[-1] for key in definition.keys]
        if sorted(named) != sorted(made):
            raise ValueError(f"declaration: tables {named} of an asset that makes {made}; declare what it makes")
        _DECLARED[definition] = declarations
        TABLES.update({each.table.name: each.table for each in declarations})
        return definition

    return declare


def loop_assets(*packages: ModuleType) -> list[dg.AssetsDefinition]:
    """Return every asset that a module of the packages declares."""
    modules = [
        import_module(module.name)
        for package in packages
        for module in iter_modules(package.__path__, f"{package.__name__}.")
    ]
    values = [value for module in modules for value in vars(module).values()]
    return list(dict.fromkeys(each for each in values if isinstance(each, dg.AssetsDefinition) and each in _DECLARED))


def wanted_assets(assets: Iterable[dg.AssetsDefinition], policy: Policy) -> list[dg.AssetsDefinition]:
    """Return the assets of which the policy asks for a table."""
    return [asset for asset in assets if any(each.wanted(policy) for each in _DECLARED[asset])]


def declarations_of(assets: Iterable[dg.AssetsDefinition]) -> dict[str, Declaration]:
    """Return what is declared of the assets' tables, by their names."""
    return {each.table.name: each for asset in assets for each in _DECLARED[asset]}


def code_versions(assets: Iterable[dg.AssetsDefinition], policy: Policy) -> dict[str, str]:
    """Return each table's code version: what has to be computed again after an edit of the policy, or of the code."""
    return {name: each.code_version(policy) for name, each in declarations_of(assets).items()}


def with_code_versions(assets: Iterable[dg.AssetsDefinition], policy: Policy) -> list[dg.AssetsDefinition]:
    """Return the assets with their code versions under a policy."""
    assets = list(assets)
    versions = code_versions(assets, policy)
    return [
        asset.map_asset_specs(lambda spec: spec.replace_attributes(code_version=versions[spec.key.path[-1]]))
        for asset in assets
    ]


def table_output(
    frame: pl.DataFrame, metadata: Mapping[str, Any] | None = None, *, ignore: Sequence[str] = ()
) -> TableOutput:
    """Return a frame whose data version is its content, so that recomputing the same makes nothing downstream stale."""
    return dg.Output(
        frame,
        metadata=dict(metadata or {}),
        data_version=dg.DataVersion(data_version(frame, ignore=tuple(ignore))),
    )


def require_previous_iteration(context: dg.AssetExecutionContext, root: RunRoot) -> None:
    """Refuse to go on when the iteration before did not end well.

    :raises dagster.Failure: it has no kappa report, or its latest run failed.
    """
    previous = previous_key(context.partition_key)
    if previous is None:
        return
    if not root.has_table("kappa_report", previous):
        raise dg.Failure(
            f"iteration {context.partition_key}: iteration {previous} has no kappa report yet; "
            f"finish it first (its labels, then the job 'learn' for {previous}, and 'report' where there is one)",
            allow_retries=False,
        )
    records = context.instance.get_run_records(
        dg.RunsFilter(tags={"dagster/partition": previous}), limit=1, order_by="id"
    )
    if records and records[0].dagster_run.status == dg.DagsterRunStatus.FAILURE:
        run_id = records[0].dagster_run.run_id
        raise dg.Failure(
            f"iteration {context.partition_key}: the latest run of iteration {previous} failed (run {run_id}); "
            "re-execute it from the failed step, then come back",
            allow_retries=False,
        )
