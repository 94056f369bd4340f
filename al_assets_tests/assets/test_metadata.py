import dagster as dg
import polars as pl
import pytest

from al_assets.assets.metadata import picture, progress_logger, table


def markdown(frame: pl.DataFrame, **settings: int) -> str:
    value = table(frame, **settings)
    assert isinstance(value, dg.MarkdownMetadataValue)
    return str(value.value)


def test_a_table_has_a_head_and_a_line_for_each_row() -> None:
    frame = pl.DataFrame({"name": ["a", "b"], "share": [0.12345, None], "items": [7, 8], "all": [True, False]})
    assert markdown(frame).split("\n") == [
        "| name | share | items | all |", "|---|---|---|---|", "| a | 0.123 | 7 | True |", "| b |  | 8 | False |",
    ]  # fmt: skip


def test_an_empty_table_is_its_head() -> None:
    assert markdown(pl.DataFrame({"a": []})) == "| a |\n|---|"


def test_long_texts_are_cut() -> None:
    row = markdown(pl.DataFrame({"text": ["x" * 500]}), longest=20).split("\n")[-1]
    assert row == "| " + "x" * 19 + "… |"


@pytest.mark.parametrize(
    "text",
    ["<b>x</b>", "a | b", "![x](http://x)", "[click](javascript:x)", "**bold** _x_ `y`", "&lt;b&gt;", "\\|"],
)
def test_nothing_in_a_text_is_markup(text: str) -> None:
    row = markdown(pl.DataFrame({"text": [text]})).split("\n")[-1]
    inside = row[2:-2].replace("<!-- -->", "")
    assert not set("|<>[]*_`!\\") & set(inside)
    import html

    assert html.unescape(inside) == text


def test_a_text_stays_in_its_row() -> None:
    lines = markdown(pl.DataFrame({"text": ["one\ntwo\r\nthree\u2028four\x85five\tsix"]})).splitlines()
    assert lines[-1] == "| one two three four five six |"
    assert len(lines) == 3


def test_a_picture_is_shown_in_place() -> None:
    value = picture(b"\x89PNG")
    assert value.value == "![picture](data:image/png;base64,iVBORw==)"


def test_progress_is_logged_about_ten_times() -> None:
    context = dg.build_asset_context()
    report = progress_logger(context, "labelled")
    seen: list[str] = []
    context.log.info = seen.append  # type: ignore[method-assign, assignment]
    for done in range(1001):
        report(done, 1000)
    assert len(seen) == 11
    assert seen[0] == "labelled: 0 of 1000"
    assert seen[-1] == "labelled: 1000 of 1000"
    report = progress_logger(context, "labelled")
    report(0, 0)
    assert seen[-1] == "labelled: 0 of 0"
