"""The SQL models: parsed from ``dbt_like_sql/``, run one at a time by DuckDB over the loop's Parquet files.

A model is one SQL file. Its leading comments declare what it is::

    -- description: One sentence.
    -- source review_queue: what it is read for
    -- column iteration: what the column means

Inside the SQL a source is read by its name. A table of the loop (``al_assets.tables``) is all its iterations in one,
with the column ``iteration`` taken from the file's name; a table that has a column of that name already keeps it as
``queued_iteration``. Any other source is a table without partitions: another model, or what an asset wrote.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from upath import UPath

from al_assets.storage.atomic import is_local
from al_assets.storage.root import RunRoot
from al_assets.tables import TABLES

if TYPE_CHECKING:
    import duckdb

LAYERS = ("staging", "marts")
_HEADER = re.compile(r"--\s*(?P<kind>description|source|column)(?:\s+(?P<name>[a-z][a-z0-9_]*))?\s*:\s*(?P<text>.*)")
_CONTINUED = re.compile(r"--\s+(?P<text>\S.*)")
_CONNECTION: dict[str, str | bool | int | float | list[str]] = {
    # An extension would be a download in the middle of a run.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class WarehouseError(ValueError):
    """A model is declared wrongly or cannot be run; the message names the file or table and the way out."""


@dataclass(frozen=True)
class Model:
    """One SQL file.

    :param columns: meaning of each column, in the order of the result.
    :param sources: what it reads each table for.
    """

    name: str
    layer: str
    description: str
    columns: dict[str, str]
    sources: dict[str, str]
    sql: str

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the file's text: the code version of its asset."""
        return hashlib.sha256(self.sql.encode()).hexdigest()[:12]


def sql_directory() -> Path:
    """Return the folder of the SQL files: beside the package in a checkout, inside it when installed.

    :raises WarehouseError: there is none.
    """
    package = Path(__file__).resolve().parents[1]
    places = (package.parent / "dbt_like_sql", package / "dbt_like_sql")
    for place in places:
        if place.is_dir():
            return place
    raise WarehouseError(f"dbt_like_sql: not found at {' or '.join(map(str, places))}; install the package with it")


def load_models(directory: Path | None = None) -> dict[str, Model]:
    """Parse every SQL file, sources before those that read them.

    :raises WarehouseError: a header is missing or wrong, a name is taken, or models read each other in a circle.
    """
    directory = sql_directory() if directory is None else directory
    models: dict[str, Model] = {}
    for layer in LAYERS:
        for path in sorted((directory / layer).glob("[!.]*.sql")):
            if path.stem in models or path.stem in TABLES:
                raise WarehouseError(f"{path}: the name {path.stem!r} is taken by another table; rename the file")
            models[path.stem] = parse_model(path)
    order = TopologicalSorter({name: set(model.sources) & models.keys() for name, model in models.items()})
    try:
        return {name: models[name] for name in order.static_order()}
    except CycleError as error:
        raise WarehouseError(f"{directory}: models read each other in a circle: {' -> '.join(error.args[1])}") from None


def parse_model(path: Path) -> Model:
    """Read a model from its file.

    :raises WarehouseError: description, sources or columns are missing, repeated or malformed; names file and line.
    """
    sql = path.read_text(encoding="utf-8")
    described: dict[str, dict[str, str]] = {"description": {}, "source": {}, "column": {}}
    kind, name = "", ""
    comments = takewhile(lambda line: line.startswith("--"), sql.splitlines())
    for number, line in enumerate(comments, start=1):
        if header := _HEADER.fullmatch(line):
            kind, name = header["kind"], header["name"] or ""
            if (kind == "description") == bool(name):
                forms = "'-- description: text', '-- source NAME: text' or '-- column NAME: text'"
                raise WarehouseError(f"{path}:{number}: expected {forms}")
            if name in described[kind]:
                raise WarehouseError(f"{path}:{number}: {kind} {name} is declared twice")
            described[kind][name] = header["text"].strip()
        elif kind and (continued := _CONTINUED.fullmatch(line)):
            described[kind][name] += f" {continued['text'].strip()}"
        else:
            raise WarehouseError(
                f"{path}:{number}: {line!r} is no description, source or column, nor continues the line above"
            )
    for kind, texts in described.items():
        if not texts or not all(texts.values()):
            example = "description" if kind == "description" else f"{kind} NAME"
            raise WarehouseError(f"{path}: no {kind} or one without text; begin the file with '-- {example}: text'")
    return Model(
        path.stem, path.parent.name, described["description"][""], described["column"], described["source"], sql
    )


def run_model(model: Model, root: RunRoot, frames: Mapping[str, pl.DataFrame] | None = None) -> pl.DataFrame:
    """Run a model over everything the loop has written so far.

    :param frames: stand for the sources of these names, as the SQL sees them: with ``iteration``, ``queued_iteration``.
    :return: exactly the declared columns, in that order.
    :raises WarehouseError: a source was never written, the SQL fails, or it gives other columns than it declares.
    """
    import duckdb

    given = frames or {}
    with duckdb.connect(config=_CONNECTION) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for source in model.sources:
            try:
                _source(connection, root, source, given.get(source)).create_view(source)
            except duckdb.Error as error:
                raise WarehouseError(f"{model.name}: its source {source} cannot be read: {error}") from error
        try:
            frame: pl.DataFrame = connection.sql(model.sql).pl()
        except duckdb.Error as error:
            raise WarehouseError(f"{model.layer}/{model.name}.sql: {error}") from error
    if frame.columns != list(model.columns):
        raise WarehouseError(
            f"{model.layer}/{model.name}.sql: declares the columns {', '.join(model.columns)} but selects "
            f"{', '.join(frame.columns)}; make the '-- column' lines and the select agree"
        )
    return frame


def _source(
    connection: "duckdb.DuckDBPyConnection", root: RunRoot, name: str, frame: pl.DataFrame | None
) -> "duckdb.DuckDBPyRelation":
    if frame is not None:
        return _hand_over(connection, name, frame)
    if name not in TABLES:
        path = root.table_path(name)
        if not path.exists():
            raise WarehouseError(f"{name}: not materialized yet; materialize it first ({path})")
        return connection.read_parquet([_readable(connection, path)])
    keys = root.table_keys(name)
    if not keys:
        return _by_iteration(_hand_over(connection, name, TABLES[name].empty().with_columns(filename=pl.lit(""))))
    paths = [_readable(connection, root.table_path(name, key)) for key in keys]
    return _by_iteration(connection.read_parquet(paths, filename=True, union_by_name=True))


def _by_iteration(table: "duckdb.DuckDBPyRelation") -> "duckdb.DuckDBPyRelation":
    """Put the iteration, which is the file's name, in front; the column ``filename`` goes."""
    own = "* exclude (filename)"
    if "iteration" in table.columns:
        own = "iteration as queued_iteration, * exclude (filename, iteration)"
    return table.project(f"parse_filename(filename, true) as iteration, {own}")


def _hand_over(connection: "duckdb.DuckDBPyConnection", name: str, frame: pl.DataFrame) -> "duckdb.DuckDBPyRelation":
    # DuckDB knows no arrays of half floats in Arrow, though it reads them from Parquet as lists of floats.
    halves = [column for column, dtype in frame.schema.items() if isinstance(dtype, pl.Array)]
    connection.register(f"__{name}", frame.with_columns(pl.col(halves).cast(pl.List(pl.Float32))).to_arrow())
    return connection.table(f"__{name}")


def _readable(connection: "duckdb.DuckDBPyConnection", path: UPath) -> Any:
    """Return a name DuckDB can open: a plain path, or a URL whose file system DuckDB was told about."""
    if is_local(path):
        return path.path
    if not connection.filesystem_is_registered(path.protocol):
        connection.register_filesystem(path.fs)
    return str(path)
