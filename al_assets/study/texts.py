"""Texts with human judgements: one small file format, the demo's texts, and no near-copies among them."""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.demo.vader import DEMO_SOURCES, THRESHOLD, load_texts
from al_assets.study import StudyError

_FIELDS = ("id", "text", "judgments", "label")
_FORM = "id, text, and either judgments (a list of numbers from 0 to 1) or label (true or false)"
_BOM = b"\xef\xbb\xbf"
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class JudgedTexts:
    """Texts and what several raters said of each.

    :param item_ids: all different; ``texts`` are as many.
    :param judgements: shape (items, raters of the item with most), each in [0, 1], above .5 positive; NaN where a
        rater gave none. A column is a place in the list, not a person. Texts with a mere label have one column.
    """

    name: str
    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    judgements: Floats

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def has_raters(self) -> bool:
        """Whether any text has several judgements, so that experts and crowd can differ."""
        return bool(self.judgements.shape[1] > 1)

    def take(self, rows: NDArray[np.int64]) -> "JudgedTexts":
        """Return the texts of these rows, in their order."""
        item_ids, texts = (tuple(values[row] for row in rows) for values in (self.item_ids, self.texts))
        return JudgedTexts(self.name, item_ids, texts, self.judgements[rows])


def read_texts(path: Path, name: str | None = None) -> JudgedTexts:
    """Read a JSONL file of rows with id, text, and either judgments or label.

    ``judgments`` lists each rater's number from 0 to 1, above .5 positive, null for a rater who gave none; ``label`` is
    true or false, or 1 or 0. All rows of a file have the same of the two.

    :param name: what the tables call it; the file's name without its ending if left out.
    :raises StudyError: the file is missing or not of this form; names the row, the field and the way out.
    """
    given: dict[str, tuple[str, tuple[float, ...]]] = {}
    numbers: dict[str, int] = {}
    answers: list[str] = []
    for number, values in _objects(path):
        where = f"{path}: row {number}"
        item_id, text, judgements, answer = _row(where, values)
        if item_id in given:
            raise StudyError(
                f"{where}: id: {item_id!r} is that of row {numbers[item_id]} too; give every text an id of its own"
            )
        answers.append(answer)
        if answer != answers[0]:
            raise StudyError(
                f"{where}: {answer}: the rows before have {answers[0]}; give all rows the same, or make two files"
            )
        given[item_id], numbers[item_id] = (text, judgements), number
    if not given:
        raise StudyError(f"{path}: no rows; write one JSON object a line with {_FORM}")
    texts, judged = zip(*given.values(), strict=True)
    return JudgedTexts(name or path.stem, tuple(given), texts, _padded(judged))


def vader_texts(sources: Sequence[str] = DEMO_SOURCES, positive_source: str | None = None) -> JudgedTexts:
    """Return the demo's texts; a judgement is 1 where a rater said -1.5 or less, 0 otherwise.

    The demo's experts are medians of five ratings. The median is at or below the threshold exactly where at least three
    of the five are, so the mean of five such judgements is above .5 exactly where the demo's expert says positive.

    :param sources: of ``demo.vader.SOURCES``; others than the demo's become part of the data set's name.
    :param positive_source: texts of this source are positive and no others, whatever the raters said: an easy policy.
    :raises ValueError: a source is unknown, ``positive_source`` is none of them, or the texts are not in the cache and
        cannot be fetched.
    """
    rated = load_texts(sources)
    if positive_source is not None and positive_source not in sources:
        known = ", ".join(sources)
        raise ValueError(f"positive_source: {positive_source!r} is not among the sources {known}; name one of them")
    if positive_source is None:
        said = [(np.array(ratings) <= THRESHOLD).astype(np.float64) for ratings in rated["ratings"].to_list()]
    else:
        said = [np.array([float(source == positive_source)]) for source in rated["source"]]
    name = "vader" if tuple(sources) == DEMO_SOURCES else "-".join(("vader", *sources))
    return JudgedTexts(name, tuple(rated["item_id"].to_list()), tuple(rated["text"].to_list()), _padded(said))


def without_near_duplicates(texts: JudgedTexts, similarity: float = 0.8) -> JudgedTexts:
    """Return the texts without near-copies of an earlier one.

    So no text has a copy on the other side of the border between pool and held-out items.

    :param similarity: Jaccard similarity of character 5-grams from which two texts are copies, above 0, at most 1.
    :raises CurationError: ``similarity`` is out of range.
    """
    first = near_duplicates(texts.texts, similarity)
    return texts.take(np.flatnonzero(first == np.arange(len(texts))))


def _padded(judgements: Sequence[Floats | Sequence[float]]) -> Floats:
    padded = np.full((len(judgements), max(map(len, judgements), default=1)), np.nan)
    for row, given in zip(padded, judgements, strict=True):
        row[: len(given)] = given
    return padded


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file; give a JSONL file with {_FORM}") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror or error}); give a JSONL file") from error
    # Of bytes, splitlines() does not split at the characters beyond ASCII that occur inside texts.
    for number, line in enumerate(data.removeprefix(_BOM).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}: row {number}"
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise StudyError(f"{where}: not UTF-8 (byte {error.start}); save the file as UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise StudyError(f"{where}: not JSON: {error}; write one JSON object a line") from error
        if not isinstance(values, dict):
            raise StudyError(f"{where}: {_shown(values)} is no JSON object; write one a line with {_FORM}")
        yield number, values


def _row(where: str, values: dict[str, Any]) -> tuple[str, str, tuple[float, ...], str]:
    """Return a row's id, text, judgements (a label is the only one, 1 or 0) and the field that they come from."""
    for key in values:
        if key not in _FIELDS:
            near = difflib.get_close_matches(key, _FIELDS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise StudyError(f"{where}: {_shown(key)} is unknown; {hint}a row has {_FORM}")
    answers = [field for field in ("judgments", "label") if field in values]
    missing = [field for field in ("id", "text") if field not in values]
    if missing or not answers:
        raise StudyError(f"{where}: {(missing or ['judgments or label'])[0]} is missing; a row has {_FORM}")
    if len(answers) > 1:
        raise StudyError(f"{where}: judgments and label are both there; leave one out")
    answer = answers[0]
    judgements = _judgements(where, values[answer]) if answer == "judgments" else (_label(where, values[answer]),)
    item_id = values["id"]
    if isinstance(item_id, int) and not isinstance(item_id, bool):
        item_id = str(item_id)
    return _string(f"{where}: id", item_id).strip(), _string(f"{where}: text", values["text"]), judgements, answer


def _string(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise StudyError(f"{where}: {_shown(value)} holds no characters; fill it in, or leave the row out")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise StudyError(f"{where}: {_shown(value)} is not UTF-8 at character {error.start}; mend it") from error
    return value


def _judgements(where: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise StudyError(f"{where}: judgments: {_shown(value)} is no list; give one number for each rater")
    for each in value:
        if each is not None and not (isinstance(each, (int, float)) and 0 <= each <= 1):
            raise StudyError(
                f"{where}: judgments: {_shown(each)} is no number from 0 to 1; scale it, or write null where a rater "
                "gave none"
            )
    if all(each is None for each in value):
        raise StudyError(
            f"{where}: judgments: {_shown(value)} holds no judgement; give at least one, or leave the row out"
        )
    return tuple(float("nan") if each is None else float(each) for each in value)


def _label(where: str, value: Any) -> float:
    if value not in (0, 1):
        raise StudyError(f"{where}: label: {_shown(value)} is no label; give true or false, or leave the row out")
    return float(value)


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
