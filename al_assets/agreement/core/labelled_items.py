"""Votes, split and scores of the loop's tables as aligned arrays, one entry for each labelled item."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats

VOTE_COLUMNS = (
    "item_id", "rater", "label", "iteration", "reason", "group_id", "stratum", "stratum_size", "inclusion_probability",
)  # fmt: skip
SPLIT_COLUMNS = ("item_id", "split", "reason", "iteration")
SCORE_COLUMNS = ("item_id", "role", "p_student", "p_incumbent", "incumbent_label")
EVALUATION_SPLITS = ("evaluation", "panel")
OUT_OF_FOLD = "out_of_fold"
RANDOM_REASONS = ("audit", "control", "check")
"""Reasons of items that were drawn by lot, rather than chosen by rule."""
VOTE_VALUES = {"positive": 1.0, "negative": 0.0, "undecided": float("nan")}


@dataclass(frozen=True)
class LabelledItems:
    """The items somebody voted on, in order of item id; every array has one entry (or row) for each.

    :param votes: shape (items, raters), 1 positive, 0 negative, NaN no vote or undecided.
    :param undecided_by: the shape of votes, whether the rater answered "cannot decide".
    :param split: evaluation, fine-tuning or panel; "" where the split does not know the item.
    :param by_others: whether a student learns from the item, so that p_student is that of a student of other folds.
    :param p_student: the student's score, NaN where not scored; so p_incumbent and the label incumbent; p_recommended
        is NaN throughout where the model recommended so far is the incumbent.
    """

    item_id: NDArray[np.str_]
    votes: Floats
    undecided_by: NDArray[np.bool_]
    group: NDArray[np.str_]
    reason: NDArray[np.str_]
    split: NDArray[np.str_]
    by_others: NDArray[np.bool_]
    iteration: NDArray[np.str_]
    stratum: NDArray[np.str_]
    stratum_size: Floats
    inclusion_probability: Floats
    p_student: Floats
    p_incumbent: Floats
    p_recommended: Floats
    incumbent: Floats

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.item_id)

    def where(self, mask: NDArray[np.bool_]) -> "LabelledItems":
        """Return the items of a mask."""
        return LabelledItems(**{name: getattr(self, name)[mask] for name in self.__dataclass_fields__})

    @property
    def decisive(self) -> NDArray[np.int64]:
        """Positive and negative votes of each item."""
        return np.asarray((~np.isnan(self.votes)).sum(axis=1), dtype=np.int64)

    @property
    def undecided(self) -> NDArray[np.int64]:
        """Answers "cannot decide" to each item."""
        return np.asarray(self.undecided_by.sum(axis=1), dtype=np.int64)

    @property
    def answers(self) -> NDArray[np.int64]:
        """Answers of any kind to each item."""
        return self.decisive + self.undecided

    @property
    def positive_share(self) -> Floats:
        """Share of positive among decisive votes, NaN without any."""
        decisive = self.decisive
        return np.where(decisive > 0, np.nansum(self.votes, axis=1) / np.maximum(decisive, 1), np.nan)

    @property
    def has_incumbent(self) -> bool:
        """Whether an incumbent labelled any of the items."""
        return not bool(np.isnan(self.incumbent).all())

    @property
    def evaluation(self) -> NDArray[np.bool_]:
        """Whether models are measured on an item; panel items are among these."""
        return np.isin(self.split, EVALUATION_SPLITS)

    @property
    def by_lot(self) -> NDArray[np.bool_]:
        """Whether an evaluation item was drawn by lot, and so stands for others of the pool."""
        return np.asarray(self.evaluation & np.isin(self.reason, RANDOM_REASONS))

    @property
    def counted_alike(self) -> NDArray[np.bool_]:
        """Whether an evaluation item may count like any other; check items may not.

        They are drawn where two models differ: counted alike they would not show either as it is.
        """
        return np.asarray(self.evaluation & (self.reason != "check"))


def why_undefined(items: LabelledItems) -> str:
    """Return why the kappas of these items are undefined, in words, should they be."""
    if not (items.decisive > 0).any():
        return "no labelled item in this scope"
    shared = items.votes[items.decisive > 1]
    if not len(shared):
        return "no item has two decisive votes"
    if len(np.unique(shared[~np.isnan(shared)])) == 1:
        label = "positive" if np.nanmax(shared) > 0 else "negative"
        return f"every vote is {label}; kappa is undefined while only one label occurs"
    return "undefined: some raters or the model use one label only on the items they share"


def has_incumbent(scores: pl.DataFrame) -> bool:
    """Return whether an incumbent labelled any row of the scores; without one a student stands alone."""
    return scores["incumbent_label"].null_count() < scores.height


def labelled_items(votes: pl.DataFrame, split: pl.DataFrame, scores: pl.DataFrame) -> LabelledItems:
    """Return the labelled items of all iterations so far, whatever the order of the frames' rows.

    :param votes: current votes, columns item_id, rater, label, iteration, reason, group_id, stratum, stratum_size,
        inclusion_probability; one row for each item and rater. A column first_label takes the place of label: agreement
        rests on what raters said before anybody could pick which answers to ask for again.
    :param split: columns item_id, split, reason, iteration; one row for each item. Its reason counts before the
        votes' reason.
    :param scores: columns item_id, role, p_student, p_incumbent, incumbent_label; the rows of role ``evaluation``.
    :raises ValueError: a column is missing, a label unknown, a row repeated, or a labelled evaluation item unscored.
    """
    _require(votes, "votes", VOTE_COLUMNS, ("item_id", "rater"))
    _require(split, "split", SPLIT_COLUMNS, ("item_id",))
    _require(scores, "scores", SCORE_COLUMNS, ("item_id", "role"))
    if "first_label" in votes.columns:
        votes = votes.with_columns(label=pl.col("first_label"))
    if "p_recommended" not in scores.columns:
        scores = scores.with_columns(p_recommended=pl.lit(None, dtype=pl.Float64))
    unknown = votes.filter(~pl.col("label").is_in(list(VOTE_VALUES)))
    if unknown.height:
        raise ValueError(f"votes.label: {unknown['label'][0]!r}; expected one of {', '.join(VOTE_VALUES)}")
    items = (
        votes.sort("item_id", "iteration", "rater")
        .group_by("item_id", maintain_order=True)
        .agg(
            pl.col("group_id", "iteration", "reason", "stratum", "stratum_size", "inclusion_probability").first(),
        )
        .join(split.select("item_id", "split", pl.col("reason").alias("split_reason")), on="item_id", how="left")
        .join(scores.filter(pl.col("role") == "evaluation").drop("role"), on="item_id", how="left")
        .with_columns(pl.coalesce("split_reason", "reason").alias("reason"))
        .sort("item_id")
    )
    matrix, undecided_by = _vote_matrices(votes, items["item_id"])
    labelled = LabelledItems(
        item_id=_texts(items["item_id"]),
        votes=matrix,
        undecided_by=undecided_by,
        group=_texts(items["group_id"].fill_null(items["item_id"])),
        reason=_texts(items["reason"]),
        split=_texts(items["split"]),
        by_others=items["item_id"].is_in(scores.filter(role=OUT_OF_FOLD)["item_id"].implode()).to_numpy(),
        iteration=_texts(items["iteration"]),
        stratum=_texts(items["stratum"]),
        stratum_size=floats(items["stratum_size"]),
        inclusion_probability=floats(items["inclusion_probability"]),
        p_student=floats(items["p_student"]),
        p_incumbent=floats(items["p_incumbent"]),
        p_recommended=floats(items["p_recommended"]),
        incumbent=floats(items["incumbent_label"]),
    )
    needed = labelled.p_student
    if has_incumbent(scores):
        needed = needed + labelled.p_incumbent + labelled.incumbent
    unscored = labelled.evaluation & np.isnan(needed)
    if unscored.any():
        raise ValueError(
            f"scores: {int(unscored.sum())} labelled evaluation items have no score, such as "
            f"{labelled.item_id[unscored][0]!r}; score every evaluation item with student and incumbent first"
        )
    return labelled


def _vote_matrices(votes: pl.DataFrame, item_ids: pl.Series) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the decisive votes and who could not decide, shape (items, raters) each."""
    raters = votes["rater"].unique().sort()
    matrix = np.full((len(item_ids), len(raters)), np.nan)
    rows = item_ids.search_sorted(votes["item_id"]).to_numpy()
    columns = raters.search_sorted(votes["rater"]).to_numpy()
    matrix[rows, columns] = [VOTE_VALUES[label] for label in votes["label"]]
    undecided_by = np.zeros(matrix.shape, dtype=np.bool_)
    undecided_by[rows, columns] = (votes["label"] == "undecided").to_numpy()
    return matrix, undecided_by


def require_columns(frame: pl.DataFrame, name: str, columns: Sequence[str]) -> None:
    """Raise a ValueError that names the columns a frame lacks."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name}: columns {', '.join(missing)} are missing; expected {', '.join(columns)}")


def aligned(frame: pl.DataFrame, item_ids: NDArray[np.str_], column: str = "label") -> Floats:
    """Return a column of a frame (item_id, column) for some items in their order, NaN where there is none."""
    known = dict(zip(frame["item_id"].to_list(), floats(frame[column]).tolist(), strict=True))
    return np.array([known.get(str(item), np.nan) for item in item_ids], dtype=np.float64)


def _require(frame: pl.DataFrame, name: str, columns: Sequence[str], key: Sequence[str]) -> None:
    require_columns(frame, name, columns)
    repeated = frame.filter(frame.select(key).is_duplicated())
    if repeated.height:
        shown = ", ".join(f"{column}={repeated[column][0]!r}" for column in key)
        raise ValueError(f"{name}: more than one row for {shown}; give the current row only")


def _texts(series: pl.Series) -> NDArray[np.str_]:
    return np.array(series.cast(pl.String).fill_null("").to_list(), dtype=np.str_)


def floats(series: pl.Series) -> Floats:
    """Return a column as floats, null as NaN."""
    return np.asarray(series.cast(pl.Float64).fill_null(float("nan")).to_numpy(), dtype=np.float64)
