"""What a declared table is: its columns with types and meanings, and the check that a frame has them."""

from dataclasses import dataclass

import polars as pl

VECTOR = pl.Array(pl.Float16, 1)
"""Stands for an array of float16 of any one width: the width is the embedder's, not the table's."""
MOMENT = pl.Datetime("us", "UTC")


class SchemaError(ValueError):
    """A frame does not have the declared columns; the message names table, column, found and expected."""


@dataclass(frozen=True)
class Column:
    """A column: its type, what it means, and whether it may be null."""

    dtype: pl.DataType | type[pl.DataType]
    description: str
    nullable: bool = False


def optional(dtype: pl.DataType | type[pl.DataType], description: str) -> Column:
    """Return a column that may be null."""
    return Column(dtype, description, nullable=True)


class Table:
    """A table's name, the columns that identify a row, and all its columns."""

    def __init__(self, name: str, key: tuple[str, ...], /, **columns: Column) -> None:
        self.name, self.key, self.columns = name, key, columns

    @property
    def schema(self) -> pl.Schema:
        """The polars schema."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    def empty(self) -> pl.DataFrame:
        """Return a frame without rows."""
        return pl.DataFrame(schema=self.schema)

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with columns in declared order and type.

        :raises SchemaError: a column is missing, unknown, of another type, null where it may not be, or a key repeats.
        """
        missing = [name for name in self.columns if name not in frame.columns]
        unknown = [name for name in frame.columns if name not in self.columns]
        if missing or unknown:
            raise SchemaError(f"{self.name}: missing columns {missing}, unknown columns {unknown}")
        try:
            typed = frame.select(
                pl.col(name).cast(_vector_type(frame.schema[name]) if column.dtype is VECTOR else column.dtype)
                for name, column in self.columns.items()
            )
        except pl.exceptions.PolarsError as error:
            raise SchemaError(f"{self.name}: a column has the wrong type: {error}") from error
        for name, column in self.columns.items():
            nulls = typed[name].null_count()
            if nulls and not column.nullable:
                raise SchemaError(f"{self.name}.{name}: {nulls} of {typed.height} rows are null; none may be")
        if typed.select(self.key).is_duplicated().any():
            repeated = typed.filter(typed.select(self.key).is_duplicated()).row(0, named=True)
            shown = ", ".join(f"{name}={repeated[name]!r}" for name in self.key)
            raise SchemaError(f"{self.name}: more than one row for {shown}")
        return typed


def _vector_type(found: pl.DataType) -> pl.DataType:
    if not isinstance(found, pl.Array):
        raise SchemaError(f"vector: expected an array of numbers of one width, found {found}")
    return pl.Array(pl.Float16, found.size)
