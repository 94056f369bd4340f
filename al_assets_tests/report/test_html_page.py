from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from al_assets.config import Policy
from al_assets.report.drawing import report_pictures
from al_assets.report.html_page import report_page, write_report
from al_assets.report.iteration_tables import IterationTables, read_tables
from al_assets.report.page_tables import LONGEST_TEXT, disputed, provenance, regions, undecided
from al_assets.report.sentences import verdict_sentence
from al_assets.report.traced_items import labelled_rows
from al_assets.storage.root import RunRoot
from al_assets_tests.support.finished_run import RATER, SCRIPT

VOID = {"meta", "link", "br", "img", "path", "use", "line", "rect", "circle"}
PICTURES = 6


class Page(HTMLParser):
    """What a browser would see: the elements with their attributes, the text, and whether all elements were closed."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(attribute)) is not None]


@pytest.fixture(scope="module")
def page(tables: IterationTables) -> Page:
    return Page(report_page(tables))


def _reported(tables: IterationTables, report: pl.DataFrame) -> IterationTables:
    return replace(tables, reports={**tables.reports, tables.iteration: report})


def test_the_page_is_well_formed_and_begins_with_the_verdict(tables: IterationTables, page: Page) -> None:
    assert page.wrong == []
    assert page.open == []
    assert page.text.index(verdict_sentence(tables.report)) < page.text.index("Kappa over iterations")
    assert [tag for tag, _ in page.elements].count("svg") == PICTURES


def test_the_page_says_what_the_student_descends_from_and_why_it_learnt_nothing(
    tables: IterationTables, run_policy: Policy
) -> None:
    alone, begun = (dict(provenance(each)) for each in (tables, read_tables(run_policy, "0001")))
    assert alone["student"] == "linear (linear) from static; fingerprint f0002"
    assert begun["student"] == "linear (linear) from static, by the head start h; fingerprint f0001"
    note = tables.checkpoint.with_columns(note=pl.lit("nothing new is learnt"))
    assert dict(provenance(replace(tables, checkpoint=note)))["student"].endswith("f0002; nothing new is learnt")


def test_the_page_says_what_the_probe_found(tables: IterationTables, page: Page) -> None:
    assert tables.probe == ""
    said = "A linear head <on> the frozen embedding agrees at 0.42."
    assert said not in page.texts
    assert said in Page(report_page(replace(tables, probe=said))).texts


def test_long_texts_of_regions_are_cut(tables: IterationTables) -> None:
    long = tables.texts.with_columns(text=pl.lit("x" * (LONGEST_TEXT + 1)))
    (line,) = regions(replace(tables, texts=long))
    shown = [*line["typical"], *line["contested"]["positive"], *line["contested"]["negative"]]
    assert shown == ["x" * LONGEST_TEXT + "…"] * 3


def test_the_page_needs_nothing_but_itself(page: Page) -> None:
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "iframe", "img", "object", "embed", "form"})
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert not page.values("src")
    assert all(value.startswith(("#", "data:")) for value in page.values("href"))
    policies = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_texts_names_and_comments_are_shown_to_the_letter(page: Page) -> None:
    for text in (SCRIPT, "<img src=//evil.example/x onerror=alert(1)>", "{{ 7 * 7 }} {% x %}", f"unclear {SCRIPT}"):
        assert text in page.text
    # As a table's cell and as the label of a picture's axis.
    assert page.text.count(RATER) > PICTURES


def test_ids_are_unique_and_every_link_leads_somewhere(page: Page) -> None:
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert {value[1:] for value in page.values("href") if value.startswith("#")} <= set(ids)


def test_every_figure_of_the_report_is_on_the_page_with_its_reason(tables: IterationTables, page: Page) -> None:
    for row in tables.report.iter_rows(named=True):
        assert row["figure"] in page.text
        if row["detail"]:
            assert " ".join(row["detail"].split()) in page.text


def test_a_figure_added_later_appears_and_a_missing_one_is_absent(tables: IterationTables) -> None:
    added = {"figure": "something_new", "scope": "evaluation", "estimate": None, "detail": "too few <votes>"}
    kept = tables.report.filter(~pl.col("figure").is_in(["gwet_ac1", "prevalence", "student_gain"]))
    report = pl.concat([kept, pl.DataFrame([added], schema=tables.report.schema)])
    text = Page(report_page(_reported(tables, report))).text
    assert "something new something_new undefined too few <votes>" in text
    assert "Gwet" not in text
    assert "parity_difference" in text


def test_an_earlier_iteration_has_a_page_of_its_own(run_policy: Policy, tmp_path: Path) -> None:
    written = write_report(run_policy, "0000", tmp_path / "reports" / "first.html")
    assert written.read_bytes() == write_report(run_policy, "0000", tmp_path / "again.html").read_bytes()
    text = Page(written.read_text(encoding="utf-8")).text
    assert "iteration 0000" in text
    assert "1 of at least 3 iterations done" in text


def test_without_a_path_the_newest_report_goes_to_the_working_directory(
    run_policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_report(run_policy) == Path("report-0002.html")
    assert (tmp_path / "report-0002.html").stat().st_size > 50_000


def test_a_loop_without_random_items_still_has_a_page(tables: IterationTables) -> None:
    chosen = tables.votes.filter(pl.col("reason") == "boundary")
    ids = chosen["item_id"].unique().implode()
    report = tables.report.filter(~pl.col("scope").is_in(["audit", "boundary", "panel"]))
    split = tables.split.filter(pl.col("item_id").is_in(ids))
    less = replace(_reported(tables, report), votes=chosen, split=split)
    page = Page(report_page(less))
    assert "No random item is labelled" in page.text
    assert "no model-expert kappa for boundary and population" in page.text
    assert [tag for tag, _ in page.elements].count("svg") == PICTURES - 1


def test_disputed_items_are_those_with_split_votes_the_most_even_first(tables: IterationTables) -> None:
    rows = labelled_rows(tables, "loop")
    lines, count = disputed(tables, rows)
    differing = tables.votes.filter(pl.col("label") != "undecided").group_by("item_id").agg(pl.col("label").n_unique())
    assert count == differing.filter(pl.col("label") > 1).height
    first = [vote.rpartition(": ")[2] for vote in lines[0]["votes"] if not vote.endswith("undecided")]
    # A vote each way is more even than two to one, and both are more even than none.
    evenness = [_evenness(line["votes"]) for line in lines]
    assert evenness == sorted(evenness, reverse=True)
    assert set(first) == {"positive", "negative"}


def _evenness(votes: list[str]) -> float:
    labels = [vote.rpartition(": ")[2] for vote in votes]
    positive, negative = labels.count("positive"), labels.count("negative")
    return min(positive, negative) / (positive + negative)


def test_items_nobody_could_decide_are_listed_with_the_comments(tables: IterationTables) -> None:
    lines, count = undecided(tables, labelled_rows(tables, "loop"))
    answers = tables.votes.filter(pl.col("label") == "undecided")
    assert count == answers["item_id"].n_unique()
    assert all(any(vote.endswith(": undecided") for vote in line["votes"]) for line in lines)
    assert all(line["comments"] for line in lines)


def test_read_tables_takes_the_newest_iteration(run_policy: Policy) -> None:
    assert read_tables(run_policy).iteration == "0002"


def test_the_pictures_can_be_drawn_before_the_report_is_stored(run_policy: Policy, tables: IterationTables) -> None:
    root = RunRoot(run_policy.root)
    again = read_tables(run_policy, "0002", report=root.read_table("kappa_report", "0002"))
    drawn = report_pictures(again)
    assert list(drawn) == ["history", "beside", "matrix", "yield", "reliability"]
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())
    assert drawn == report_pictures(tables)


def test_what_kappa_leaves_out_is_on_the_page(page: Page) -> None:
    assert "Had they all been decided, the evaluation items would give expert-expert kappa between" in page.text
    assert (
        "Left out of kappa among the evaluation items: 0 of 180 items have fewer than two decisive votes." in page.text
    )


def test_an_answer_given_otherwise_later_is_shown_beside_the_first(tables: IterationTables) -> None:
    share = tables.items.positive_share
    item = str(tables.items.item_id[(share > 0) & (share < 1)][0])
    place = (pl.col("item_id") == item) & (pl.col("rater") == "r1")
    said = tables.votes.filter(place)["first_label"][0]
    later = "negative" if said == "positive" else "positive"
    changed = replace(
        tables, votes=tables.votes.with_columns(label=pl.when(place).then(pl.lit(later)).otherwise("label"))
    )
    rows = labelled_rows(changed, "loop").where(changed.items.item_id == item)
    ((line,), _) = disputed(changed, rows)
    assert f"r1: {said}, later {later}" in line["votes"]
