import re

import pytest
from playwright.sync_api import expect

from al_assets_tests.browser.conftest import MARKUP
from al_assets_tests.support.browser.dagster_ui import Ui
from al_assets_tests.support.processes import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

GROUPS = ("pool", "curation", "experts", "learning", "marts")
RUN_SECONDS = 300.0
SHOWN_TEXT = 40


@pytest.fixture(scope="module")
def curated(ui: Ui) -> str:
    """Materialize the first half of iteration 0000 with clicks alone; return how its run ended."""
    ui.open_lineage()
    ui.open_job("curate")
    ui.choose_new_iteration("0000")
    ui.launch()
    return wait_for("end of the run", ui.run_status, RUN_SECONDS)


def test_the_graph_shows_the_groups_of_the_loop(ui: Ui) -> None:
    ui.open_lineage()
    for group in GROUPS:
        expect(ui.in_graph(group)).to_be_visible()


def test_materializing_curate_for_a_new_partition_by_clicks_succeeds(curated: str) -> None:
    assert curated == "Success"


def test_the_picture_of_the_overlap_map_is_drawn(ui: Ui, curated: str) -> None:
    picture = ui.open_metadata("overlap_map", "0000", "map").locator("img")
    expect(picture).to_have_attribute("src", re.compile(r"data:image/png;base64,"))
    width, height = picture.evaluate("img => [img.naturalWidth, img.naturalHeight]")
    assert width > 500
    assert height > 300


@pytest.mark.parametrize(
    ("asset", "entry", "columns"),
    [
        ("overlap_map", "most_confused", ["name", "items", "positive_share"]),
        ("boundary_pairs", "most_instructive_pairs", ["called positive", "called negative", "region", "similarity"]),
        ("review_queue", "by_reason", ["reason", "items", "called positive by the incumbent"]),
    ],
)
def test_tables_are_drawn_as_tables(ui: Ui, curated: str, asset: str, entry: str, columns: list[str]) -> None:
    shown = ui.open_metadata(asset, "0000", entry)
    assert shown.locator("thead th").all_inner_texts()[: len(columns)] == columns
    assert shown.locator("tbody tr").count() > 0
    # Every row has as many cells as there are columns: a '|' in a text did not divide one.
    rows = shown.locator("tbody tr").evaluate_all("rows => rows.map(row => row.cells.length)")
    assert set(rows) == {shown.locator("thead th").count()}


@pytest.mark.parametrize(
    ("asset", "entry", "texts"),
    [("boundary_pairs", "most_instructive_pairs", 8), ("overlap_map", "most_confused", 2)],
)
def test_markup_in_items_is_shown_as_text(
    ui: Ui, curated: str, texts_with_markup: list[str], asset: str, entry: str, texts: int
) -> None:
    shown = ui.open_metadata(asset, "0000", entry)
    inside = shown.locator("tbody").locator("*:not(tr):not(td)")
    assert inside.evaluate_all("found => found.map(element => element.outerHTML)") == []
    cells = [cell for cell in shown.locator("tbody td").all_inner_texts() if cell.startswith(MARKUP)]
    assert len(cells) >= texts
    # Each such text is shown letter by letter as it stands in the pool, as far as the table has room.
    known = {" ".join(text.split())[:SHOWN_TEXT] for text in texts_with_markup}
    assert [cell for cell in cells if cell[:SHOWN_TEXT] not in known] == []


def test_nothing_in_the_pool_was_executed_or_fetched(ui: Ui, curated: str) -> None:
    for asset, entry in (("boundary_pairs", "most_instructive_pairs"), ("overlap_map", "most_confused")):
        ui.open_metadata(asset, "0000", entry)
        ui.page.wait_for_timeout(1_000)
    assert ui.alerts == []
    assert ui.strangers == []
