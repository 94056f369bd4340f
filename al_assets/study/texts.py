"""Texts with human judgements: one small file format, the demo's texts, and no near-copies among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.demo.vader import DEMO_SOURCES, THRESHOLD, load_texts
from al_assets.study.errors import StudyError
from al_assets.study.text_rows import read_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedTexts:
    """Texts and what several raters said of each.

    :param item_ids: all different; ``texts`` are as many.
    :param judgements: shape (items, raters of the item with most), each in [0, 1], above .5 positive; NaN where a
        rater gave none. A column is a place in the list, not a person. Texts with a mere label have one column.
    :raises StudyError: the three do not belong together, a judgement is out of range or a text has none.
    """

    name: str
    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    judgements: Floats

    def __post_init__(self) -> None:
        items, shape = len(self.item_ids), self.judgements.shape
        if len(self.texts) != items or len(shape) != 2 or shape[0] != items or shape[1] < 1:
            raise StudyError(
                f"{self.name}: {items} item_ids, {len(self.texts)} texts and judgements of shape {shape}; give one "
                "text and one row of judgements for each id"
            )
        if len(set(self.item_ids)) < items:
            raise StudyError(f"{self.name}: item_ids: some are there twice; give every text an id of its own")
        given = ~np.isnan(self.judgements)
        wrong = given & ~((self.judgements >= 0) & (self.judgements <= 1))
        empty = int((~given.any(axis=1)).sum())
        if wrong.any() or empty:
            raise StudyError(
                f"{self.name}: judgements: {int(wrong.sum())} are out of range and {empty} texts have none; give "
                "numbers from 0 to 1, at least one for each text"
            )

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def has_raters(self) -> bool:
        """Whether any text has several judgements, so that experts and crowd can differ."""
        return bool(self.judgements.shape[1] > 1)

    def take(self, rows: NDArray[np.int64]) -> "JudgedTexts":
        """Return the texts of these rows, in their order."""
        numbers = rows.tolist()
        return JudgedTexts(
            self.name,
            tuple(self.item_ids[row] for row in numbers),
            tuple(self.texts[row] for row in numbers),
            self.judgements[rows],
        )


def read_texts(path: Path, name: str | None = None) -> JudgedTexts:
    """Read a JSONL file of rows with id, text, and either judgments or label.

    ``judgments`` lists each rater's number from 0 to 1, above .5 positive, null for a rater who gave none; ``label`` is
    true or false, or 1 or 0. All rows of a file have the same of the two.

    :param name: what the tables call it; the file's name without its ending if left out.
    :raises StudyError: the file is missing or not of this form; names the row, the field and the way out.
    """
    rows = read_rows(path)
    return JudgedTexts(
        name or path.stem,
        tuple(row.item_id for row in rows),
        tuple(row.text for row in rows),
        _padded([row.judgements for row in rows]),
    )


def vader_texts(sources: Sequence[str] = DEMO_SOURCES) -> JudgedTexts:
    """Return the demo's texts; a judgement is 1 where a rater said -1.5 or less, 0 otherwise.

    The demo's experts are medians of five ratings. The median is at or below the threshold exactly where at least three
    of the five are, so the mean of five such judgements is above .5 exactly where the demo's expert says positive.

    :param sources: of ``demo.vader.SOURCES``; others than the demo's become part of the data set's name.
    :raises ValueError: a source is unknown, or the texts are not in the cache and cannot be fetched.
    """
    found = load_texts(sources)
    said = [(np.array(ratings) <= THRESHOLD).astype(np.float64) for ratings in found["ratings"].to_list()]
    name = "vader" if tuple(sources) == DEMO_SOURCES else "-".join(("vader", *sources))
    return JudgedTexts(name, tuple(found["item_id"].to_list()), tuple(found["text"].to_list()), _padded(said))


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
