import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from al_assets.curation.checks import CurationError
from al_assets.demo import vader
from al_assets.study import StudyError
from al_assets.study.texts import JudgedTexts, read_texts, vader_texts, without_near_duplicates
from benchmarks.pools.pool_texts import planted_texts

NAN = np.nan


def write(folder: Path, *rows: Any) -> Path:
    file = folder / "remarks.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


def judged(texts: list[str]) -> JudgedTexts:
    return JudgedTexts("some", tuple(f"t{i}" for i in range(len(texts))), tuple(texts), np.ones((len(texts), 1)))


def test_judgements_keep_their_places_and_shorter_lists_are_filled_up(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {"id": "a", "text": "One.", "judgments": [0, 0.333, 1]},
        {"id": 2, "text": "Two.\u2028Still two.", "judgments": [None, 1.0]},
    )
    texts = read_texts(file)
    assert (texts.name, texts.item_ids, texts.texts) == ("remarks", ("a", "2"), ("One.", "Two.\u2028Still two."))
    assert np.array_equal(texts.judgements, [[0, 0.333, 1], [NAN, 1, NAN]], equal_nan=True)
    assert texts.has_raters
    assert len(texts) == 2


def test_labels_are_a_single_judgement(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "x", "label": label} for i, label in enumerate([True, False, 1, 0])]
    texts = read_texts(write(tmp_path, *rows), name="mine")
    assert texts.name == "mine"
    assert texts.judgements.tolist() == [[1], [0], [1], [0]]
    assert not texts.has_raters


def test_a_byte_order_mark_empty_lines_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "w.jsonl"
    row = json.dumps({"id": "a", "text": "Über", "label": 1}, ensure_ascii=False).encode()
    file.write_bytes(b"\xef\xbb\xbf\r\n" + row + b"\r\n\r\n")
    assert read_texts(file).texts == ("Über",)


GOOD = {"id": "a", "text": "x", "judgments": [1]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD | {"id": "z", "judgements": [1]}, "'judgements' is unknown; did you mean 'judgments'?"),
        ({"id": "z", "judgments": [1]}, "text is missing; a row has id, text, and either"),
        ({"id": "z", "text": "x"}, "judgments or label is missing"),
        (GOOD | {"id": "z", "label": 1}, "judgments and label are both there; leave one out"),
        (GOOD | {"id": "z", "text": " \n"}, r"text: ' \\n' holds no characters; fill it in"),
        (GOOD | {"id": None}, "id: None holds no characters"),
        (GOOD | {"id": True}, "id: True holds no characters"),
        (GOOD, "id: 'a' is that of row 1 too; give every text an id of its own"),
        (GOOD | {"id": "z", "text": "\ud800"}, "is not UTF-8 at character 0"),
        (GOOD | {"id": "z", "judgments": [0, 1.5]}, "judgments: 1.5 is no number from 0 to 1; scale it"),
        (GOOD | {"id": "z", "judgments": [NAN]}, "judgments: nan is no number"),
        (GOOD | {"id": "z", "judgments": ["1"]}, "judgments: '1' is no number"),
        (GOOD | {"id": "z", "judgments": 1}, "judgments: 1 is no list"),
        (GOOD | {"id": "z", "judgments": []}, r"judgments: \[\] holds no judgement"),
        (GOOD | {"id": "z", "judgments": [None]}, r"judgments: \[None\] holds no judgement"),
        ({"id": "z", "text": "x", "label": 1}, "label: the rows before have judgments; give all rows the same"),
        ({"id": "z", "text": "x", "label": "yes"}, "label: 'yes' is no label; give true or false"),
        ({"id": "z", "text": "x", "label": None}, "label: None is no label"),
        ([1], r"\[1\] is no JSON object"),
    ],
)
def test_a_wrong_row_is_named_with_its_field_and_value(tmp_path: Path, row: Any, message: str) -> None:
    file = write(tmp_path, GOOD, row)
    with pytest.raises(StudyError, match=rf"remarks\.jsonl: row 2: .*{message}"):
        read_texts(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows; write one JSON object a line"),
        (b"{'id'}\n", "row 1: not JSON"),
        (b'{"id": "\xff"}\n', "row 1: not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_bytes(content)
    with pytest.raises(StudyError, match=f"broken.jsonl: {message}"):
        read_texts(file)
    with pytest.raises(StudyError, match="nowhere.jsonl: no such file; give a JSONL file"):
        read_texts(tmp_path / "nowhere.jsonl")
    with pytest.raises(StudyError, match="cannot be read"):
        read_texts(tmp_path)


def test_taken_rows_come_in_the_order_asked_for() -> None:
    texts = JudgedTexts("some", ("a", "b", "c"), ("x", "y", "z"), np.array([[0, 1], [1, NAN], [0.5, 0]]))
    taken = texts.take(np.array([2, 0]))
    assert (taken.name, taken.item_ids, taken.texts) == ("some", ("c", "a"), ("z", "x"))
    assert taken.judgements.tolist() == [[0.5, 0], [0, 1]]


def test_vader_judgements_are_the_demos_votes() -> None:
    texts, rated = vader_texts(), vader.load_texts()
    assert (texts.name, len(texts)) == ("vader", rated.height)
    assert texts.item_ids == tuple(rated["item_id"])
    ratings = rated["ratings"].to_list()
    assert np.array_equal((~np.isnan(texts.judgements)).sum(axis=1), [len(each) for each in ratings])
    # The mean of five votes against the median of five ratings.
    medians = np.array([np.median(each[:5]) for each in ratings])
    assert np.array_equal(texts.judgements[:, :5].mean(axis=1) > 0.5, medians <= vader.THRESHOLD)
    assert vader_texts(["product_review"]).name == "vader-product_review"


def test_a_source_can_be_the_policy() -> None:
    sources = ["product_review", "editorial"]
    texts = vader_texts(sources, "editorial")
    assert [judged == 1 for judged in texts.judgements[:, 0]] == [
        each.startswith("editorial") for each in texts.item_ids
    ]
    assert not texts.has_raters
    with pytest.raises(ValueError, match="positive_source: 'tweet' is not among the sources product_review, editorial"):
        vader_texts(sources, "tweet")


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(ValueError, match="sources: 'tweets' is unknown"):
        vader_texts(["tweets"])


def test_no_copy_stays_and_no_other_text_goes() -> None:
    planted = planted_texts(3_000, seed=4, duplicate_share=0.2)
    kept = without_near_duplicates(judged(planted.texts))
    assert kept.item_ids == tuple(f"t{first}" for first in np.unique(planted.group))
    assert len(kept) == 2_400
    with pytest.raises(CurationError, match="similarity: 2 is out of range"):
        without_near_duplicates(judged(["a"]), 2)


def test_twenty_thousand_texts_take_seconds() -> None:
    texts = judged(planted_texts(20_000).texts)
    started = time.process_time()
    assert len(without_near_duplicates(texts)) == 19_000
    assert time.process_time() - started < 40
