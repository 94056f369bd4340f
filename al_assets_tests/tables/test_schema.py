import polars as pl
import pytest

from al_assets.tables import EMBEDDINGS, INCUMBENT_MODEL, POOL, QUARANTINE, TABLES, SchemaError

ROWS = pl.DataFrame({"row": [1, 2], "item_id": ["a", None], "reason": ["no text", "no id"]}, schema=QUARANTINE.schema)


def test_every_table_is_declared_under_its_name_with_a_meaning_for_each_column() -> None:
    for name, table in TABLES.items():
        assert table.name == name
        assert table.key
        assert set(table.key) <= set(table.columns)
        for column in table.columns.values():
            assert len(column.description) > 5


def test_an_empty_frame_has_the_declared_columns() -> None:
    assert POOL.empty().schema == POOL.schema
    assert POOL.check(POOL.empty()).height == 0


def test_a_right_frame_comes_back_in_declared_order_and_type() -> None:
    shuffled = ROWS.select("reason", pl.col("row").cast(pl.UInt8), "item_id")
    checked = QUARANTINE.check(shuffled)
    assert checked.equals(ROWS)
    assert checked.schema == QUARANTINE.schema


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (ROWS.drop("reason"), r"quarantine: missing columns \['reason'\], unknown columns \[\]"),
        (ROWS.with_columns(more=1), r"quarantine: missing columns \[\], unknown columns \['more'\]"),
        (ROWS.with_columns(row=pl.lit("one")), "quarantine: a column has the wrong type: .*row"),
        (ROWS.with_columns(reason=pl.lit(None, pl.String)), "quarantine.reason: 2 of 2 rows are null; none may be"),
        (ROWS.with_columns(row=7), "quarantine: more than one row for row=7"),
    ],
)
def test_a_wrong_frame_is_refused(frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(SchemaError, match=f"(?s){said}"):
        QUARANTINE.check(frame)


def test_vectors_may_have_any_one_width_and_are_kept_in_half_precision() -> None:
    vectors = pl.Series([[0.6, 0.8], [1.0, 0.0]], dtype=pl.Array(pl.Float32, 2))
    checked = EMBEDDINGS.check(pl.DataFrame({"item_id": ["a", "b"], "vector": vectors}))
    assert checked.schema["vector"] == pl.Array(pl.Float16, 2)
    with pytest.raises(SchemaError, match="vector: expected an array of numbers of one width, found List"):
        EMBEDDINGS.check(pl.DataFrame({"item_id": ["a"], "vector": [[0.6, 0.8]]}))


def test_a_key_of_one_row_tables_is_checked_too() -> None:
    row = {"kind": "llm0", "uri": "u", "fingerprint": "f", "threshold": None, "promoted_from": None}
    frame = pl.DataFrame([row, row], schema=INCUMBENT_MODEL.schema)
    with pytest.raises(SchemaError, match="more than one row for kind='llm0'"):
        INCUMBENT_MODEL.check(frame)
