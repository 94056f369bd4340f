import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from al_assets.study.report.page import ROWS, StudyAbout, markdown_report, write_report
from al_assets.study.report.pictures import study_figures
from al_assets.study.report.result_rows import checked_rows, read_rows
from al_assets.study.report.summary import summarise
from al_assets_tests.support.studies import ABOUT, NOISE, Row, arm, crowd_arm, frame, whole_study


def part_of(text: str, title: str) -> str:
    """The section of a report in Markdown, without its escapes and on one line."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert found
    return " ".join(found[1].replace("\\", "").split())


def report(rows: pl.DataFrame, default: str = "boundary_pairs", about: StudyAbout = ABOUT) -> str:
    return markdown_report(summarise(rows, default=default), about, ())


def answered(*parts: Sequence[Row]) -> str:
    return part_of(report(frame(*parts)), "The answer")


WIDE = (0.0, 0.2, -0.2, 0.15, -0.15)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            [arm("boundary_pairs", 0.45, noise=NOISE), crowd_arm(0.5)],
            "Curated labels (boundary_pairs, 300 labels, 5 seeds) reach kappa .45 (.43 to .47) on held-out items drawn "
            "at random. It takes about 3,200 (2,900 to 3,400) crowd labels to get there, 11 (9.7 to 11) for each "
            "expert label and 5.3 (4.9 to 5.7) for each expert vote.",
        ),
        (
            [arm("boundary_pairs", 0.7), crowd_arm(0.5)],
            "The crowd does not get there with 10,000 labels, the most that were tried, which reach .50: it takes more "
            "than 10,000 crowd labels, more than 33 for each expert label.",
        ),
        (
            [arm("boundary_pairs", 0.51, noise=WIDE), crowd_arm(0.5)],
            "more than 10,000 crowd labels, more than 33 for each expert label; the interval (160 to more than 10,000) "
            "leaves room for chance.",
        ),
        (
            [arm("boundary_pairs", 0.2), crowd_arm(0.5)],
            "As few as 100 crowd labels, the fewest that were tried, do better: curation saves no labels here.",
        ),
        (
            [arm("boundary_pairs", 0.2), crowd_arm(0.5, sizes=(1_000, 10_000))],
            "As few as 1,000 crowd labels, the fewest that were tried, do better; whether 300 would was not tried.",
        ),
        (
            [arm("boundary_pairs", 0.31, noise=NOISE), crowd_arm(0.5)],
            "crowd labels, fewer than the 300 expert labels: curation saves none.",
        ),
        (
            [arm("boundary_pairs", 0.35, noise=WIDE), crowd_arm(0.5)],
            "crowd labels to get there, against 300 expert labels; whether curation saves any cannot be told within "
            "that interval.",
        ),
        (
            [arm("boundary_pairs", 0.45, 1), crowd_arm(0.5, 1)],
            "reach kappa .45 (one seed, so no interval) on held-out items drawn at random. It takes about 3,200 crowd "
            "labels to get there, against 300 expert labels; whether curation saves any cannot be told by one seed.",
        ),
        ([arm("boundary_pairs", 0.7, 1), crowd_arm(0.5, 1)], "for each expert label; one seed gives no interval."),
        ([arm("boundary_pairs", 0.7, 2), crowd_arm(0.5, 2)], "for each expert label; 2 seeds give no interval."),
        (
            [arm("boundary_pairs", 0.4), crowd_arm(0.5, sizes=(100,))],
            "more than 100 crowd labels, more than 0.3 for each expert label; samples as large as the experts' were "
            "not tried.",
        ),
        ([arm("boundary_pairs", 0.4)], "There is no crowd baseline to hold that against."),
        ([arm("boundary_pairs", 0.4)], "There is no random arm to hold that against."),
        ([arm("random", 0.4)], "There is no kappa of boundary_pairs in the population, so nothing can be said of it."),
        ([arm("random", 0.4)], "The strategy boundary_pairs was not run here"),
        (
            [arm("boundary_pairs", 0.45, noise=NOISE), arm("random", 0.4)],
            "Against as many random labels: +.050 (+.046 to +.054) in the last round (ahead of random, p < .001 after "
            "Holm's correction)",
        ),
        ([arm("boundary_pairs", 0.35, noise=NOISE), arm("random", 0.4)], "in the last round (behind random, p < .001"),
        ([arm("boundary_pairs", 0.4, noise=WIDE), arm("random", 0.4)], "(cannot be told from random)"),
        ([arm("boundary_pairs", 0.5, 1), arm("random", 0.4, 1)], "by one seed; that is no evidence."),
        (
            [arm("boundary_pairs", 0.4, noise=NOISE), arm("margin", 0.45)],
            "margin is better: -.050 (-.054 to -.046) for boundary_pairs against it, beyond noise.",
        ),
        (
            [arm("boundary_pairs", 0.4, noise=NOISE), arm("margin", 0.45)],
            "boundary_pairs is behind the best strategy, beyond noise, in the one setting.",
        ),
        ([arm("boundary_pairs", 0.4, noise=WIDE), arm("margin", 0.45)], "The highest mean is margin's; -.050"),
        ([arm("boundary_pairs", 0.5), arm("margin", 0.45)], "None of the other strategies (1) has a higher mean kappa"),
        ([arm("boundary_pairs", 0.4, 1), arm("margin", 0.45, 1)], "The highest kappa is margin's (-.050 for boundary_"),
        ([arm("boundary_pairs", 0.5, 1), arm("margin", 0.4, 1)], "Its kappa is the highest of 2 strategies, by one"),
        ([arm("boundary_pairs", 0.5, 1), arm("margin", 0.4, 1)], "With one seed it cannot be told whether boundary_"),
    ],
)  # fmt: skip
def test_the_answer_says_what_the_figures_say(parts: list[list[Row]], said: str) -> None:
    assert said in answered(*parts)


def test_intervals_that_do_not_survive_the_correction_are_said_to() -> None:
    noise = (0.03, 0.1, 0.02, 0.1, 0.02)
    others = [arm(name, 0.4, noise=WIDE) for name in ("margin", "top_scored", "typiclust", "badge")]
    text = answered(arm("boundary_pairs", 0.4, noise=noise), arm("random", 0.4), *others)
    assert re.search(r"ahead of random by the interval, but not after Holm's correction, p \.\d\d\)", text)


def test_the_default_is_judged_over_all_settings() -> None:
    good = [*arm("boundary_pairs", 0.5), *arm("margin", 0.4)]
    bad = [*arm("boundary_pairs", 0.4, noise=NOISE, dataset="other"), *arm("margin", 0.5, dataset="other")]
    assert (
        "boundary_pairs is the best strategy or within noise of the best in 1 of 2 settings; behind the best beyond "
        "noise in (other). Data: other, texts. Students: small. Embeddings: minilm. Labels a round: 100. "
    ) in answered(good, bad)
    again = [{**each, "dataset": "other"} for each in good]
    assert "within noise of the best in all 2 settings. Data" in answered(good, again)


def test_strategies_whose_interval_leaves_random_out_are_named() -> None:
    rows = frame(arm("random", 0.4), arm("margin", 0.5), arm("badge", 0.3), arm("typiclust", 0.4, noise=WIDE))
    text = part_of(report(rows), "Against random")
    assert (
        "texts. Ahead of random in the last round: margin, of 3; random is ahead of badge. Ahead of random over the "
        "whole curve: margin"
    ) in text


def test_probes_tell_whether_model_or_labels_are_the_limit() -> None:
    strong = [
        {**each, "probe_embedding": each["kappa"] + 0.1 + each["seed"] / 100} for each in arm("boundary_pairs", 0.4)
    ]
    strong = [{**each, "ceiling": each["kappa"] - 0.1 + each["seed"] / 100} for each in strong]
    text = part_of(report(frame(strong)), "Labels or model: linear probes")
    assert "so the student is a limit" in text
    assert "past what these features give" in text
    assert "linear probes" not in report(frame(arm("boundary_pairs", 0.4)))


def test_the_same_rows_in_any_order_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    rows = read_rows(folder / ROWS).sample(fraction=1, shuffle=True, seed=1)
    files = write_report(rows, ABOUT, tmp_path)
    assert {path.relative_to(tmp_path) for path in files} == {
        path.relative_to(folder) for path in folder.rglob("*") if path.is_file()
    }
    for path in files:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name


def test_the_markdown_links_pictures_that_are_there(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    linked = re.findall(r"\]\((pictures/\w+\.svg)\)", text)
    assert len(linked) == 9
    for name in linked:
        assert ElementTree.fromstring((folder / name).read_bytes()).tag.endswith("svg")
    assert {f"pictures/{path.name}" for path in (folder / "pictures").iterdir()} == set(linked)
    for line in text.splitlines():
        assert "nan" not in line.lower().split()
        assert "None" not in line.replace("None of the other strategies", "")
    assert r"\<b\>\|x_1 $2^" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) >= 10
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}) == 1


def test_the_summary_is_json_with_every_frame(folder: Path) -> None:
    found = json.loads((folder / "summary.json").read_text())
    assert found["default"] == "boundary_pairs"
    assert {"curves", "against_random", "needed", "equivalents", "controls", "quality_limits"} <= set(found)
    (first,) = [each for each in found["equivalents"] if (each["strategy"], each["metric"]) == ("random", "kappa")]
    # Random's .4 is the crowd's at 1,000 labels.
    assert first["crowd_labels"] == pytest.approx(1_000, rel=0.1)


def test_a_study_of_one_seed_says_so_and_invents_no_interval() -> None:
    text = report(whole_study(1))
    assert "One seed, so no interval." in text
    assert not re.search(r"\(\S+ to \S+\)", text.replace("(fewer than", ""))


@pytest.mark.parametrize("missing", ["kappa", "kappa_boundary", "seconds", "positive_share"])
def test_a_study_without_a_figure_has_a_report(missing: str) -> None:
    parts = ("curation_seconds", "training_seconds") if missing == "seconds" else ()
    rows = whole_study(2).with_columns(pl.lit(None, pl.Float64).alias(name) for name in (missing, *parts))
    summary = summarise(rows)
    text = markdown_report(summary, ABOUT, study_figures(summary))
    assert ("curves_boundary.svg" in text) == (missing != "kappa_boundary")
    assert ("positive_share.svg" in text) == (missing != "positive_share")
    assert ("seconds.svg" in text) == (missing != "seconds")


def test_only_baselines_or_no_rows_at_all() -> None:
    summary = summarise(frame(crowd_arm(0.5)))
    assert study_figures(summary) == {}
    assert "No strategy was run with the base settings" in markdown_report(summary, ABOUT, ())
    with pytest.raises(ValueError, match="rows: there are none"):
        summarise(checked_rows(whole_study(1).clear()))


def test_markdown_holds_texts_as_they_are() -> None:
    about = replace(ABOUT, file="_c_\nd | *e*", settings_yaml="a:\n\n\n\n- ```\n")
    text = report(whole_study(1), about=about)
    assert "- Study file: \\_c\\_ d \\| \\*e\\*\n" in text
    assert text.endswith("The study file:\n\n````yaml\na:\n\n\n\n- ```\n````\n")
    assert "\n\n\n" not in text.partition("The study file:")[0]
