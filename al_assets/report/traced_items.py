"""The items and votes a figure rests on, as aligned arrays and as a frame for people."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, kappa_of, pair_cells
from al_assets.agreement.core.labelled_items import OUT_OF_FOLD, LabelledItems, aligned, floats
from al_assets.agreement.core.undecided import BEST, filled
from al_assets.agreement.population.student_threshold import fits_curve
from al_assets.agreement.population.thresholds import labels_at
from al_assets.agreement.report.scopes import held_out_sample, model_sample, scope_masks
from al_assets.agreement.report.undecided_figures import two_answers
from al_assets.report.iteration_tables import IterationTables

CELLS = ("both_positive", "first_only", "second_only", "both_negative")
_LABELS = {1.0: "positive", 0.0: "negative"}


@dataclass(frozen=True)
class Rows:
    """Items with what raters and models said of them; every array has one entry (or row) for each item.

    :param votes: shape (items, raters), 1 positive, 0 negative, NaN no vote or undecided.
    :param labels: the models' labels by name (student, incumbent, earlier), 1, 0 or NaN.
    :param scores: the models' scores by name.
    :param weights: how many items each counts for, up to a common factor.
    :param undecided_by: the shape of votes, whether a rater could not decide.
    """

    item_id: NDArray[np.str_]
    votes: Floats
    raters: tuple[str, ...]
    labels: dict[str, Floats]
    scores: dict[str, Floats]
    weights: Floats
    undecided_by: NDArray[np.bool_]
    facts: pl.DataFrame

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.item_id)

    @cached_property
    def decisive(self) -> NDArray[np.int64]:
        """Positive and negative votes of each item."""
        return np.asarray((~np.isnan(self.votes)).sum(axis=1), dtype=np.int64)

    @cached_property
    def undecided(self) -> NDArray[np.int64]:
        """Answers "cannot decide" to each item."""
        return np.asarray(self.undecided_by.sum(axis=1), dtype=np.int64)

    @cached_property
    def positive_share(self) -> Floats:
        """Share of positive among decisive votes, NaN without any."""
        decisive = self.decisive
        return np.where(decisive > 0, np.nansum(self.votes, axis=1) / np.maximum(decisive, 1), np.nan)

    def label(self, model: str) -> Floats:
        """Return a model's labels, all NaN for a model that labelled none of the items."""
        return self.labels.get(model, np.full(len(self), np.nan))

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        """Return the items of a mask."""
        return Rows(
            self.item_id[mask],
            self.votes[mask],
            self.raters,
            {name: values[mask] for name, values in self.labels.items()},
            {name: values[mask] for name, values in self.scores.items()},
            self.weights[mask],
            self.undecided_by[mask],
            self.facts.filter(pl.Series(mask)),
        )

    def decided(self, end: str, model: str | None = None) -> "Rows":
        """Return the items with every "cannot decide" decided for the worst or the best of a kappa.

        :param model: whose kappa with the raters; None for that of the raters among themselves.
        """
        if (end, model) not in self._decided:
            self._decided[end, model] = replace(self, votes=self._fill(end, model))
        return self._decided[end, model]

    def _fill(self, end: str, model: str | None) -> Floats:
        if model is None:
            return filled(self.votes, self.undecided_by, end)
        said = self.label(model) if end == BEST else 1 - self.label(model)
        return np.where(self.undecided_by, said[:, None], self.votes)

    @cached_property
    def _decided(self) -> dict[tuple[str, str | None], "Rows"]:
        # What does not depend on weights, as below.
        return {}

    @cached_property
    def _pairs(self) -> dict[str | None, list[tuple[str, str, Floats]]]:
        # What does not depend on weights: a figure is computed again without each item.
        return {}

    def pairs(self, model: str | None = None) -> list[tuple[str, str, Floats]]:
        """Return (first, second, cells of shape (items, 4)) of each pair of raters, or of a model with each rater.

        Only items with two or more decisive votes count, so that both kinds of pairs rest on the same items.
        """
        if model not in self._pairs:
            self._pairs[model] = self._find_pairs(model)
        return self._pairs[model]

    def answers(self, model: str | None = None) -> dict[str, Floats]:
        """Return each rater's votes, and a model's labels, on the items with two or more decisive votes, else NaN."""
        answers = {name: self._shared[:, at] for at, name in enumerate(self.raters)}
        return answers if model is None else {**answers, model: np.where(self.decisive >= 2, self.label(model), np.nan)}

    @cached_property
    def _shared(self) -> Floats:
        return np.where((self.decisive >= 2)[:, None], self.votes, np.nan)

    def _find_pairs(self, model: str | None) -> list[tuple[str, str, Floats]]:
        shared = self._shared
        if model is None:
            return [
                (self.raters[i], self.raters[j], pair_cells(shared[:, i], shared[:, j]))
                for i, j in combinations(range(len(self.raters)), 2)
            ]
        labels = self.label(model)
        return [(model, rater, pair_cells(labels, shared[:, at])) for at, rater in enumerate(self.raters)]

    def frame(self) -> pl.DataFrame:
        """Return the items for people: what they are, what each rater and model said, and how much each counts."""
        said = {f"vote_{name}": _words(self.votes[:, at]) for at, name in enumerate(self.raters)}
        return self.facts.with_columns(
            **{name: pl.Series(values, dtype=pl.String) for name, values in said.items()},
            **{f"{name}_label": pl.Series(_words(values), dtype=pl.String) for name, values in self.labels.items()},
            **{f"{name}_score": pl.Series(values).fill_nan(None) for name, values in self.scores.items()},
            undecided_votes=pl.Series(self.undecided),
            weight=pl.Series(self.weights),
        )


def cells_frame(pairs: list[tuple[str, str, Floats]], weights: Floats) -> pl.DataFrame:
    """Return the 2 x 2 table of each pair, one row each: items, weighted cells, kappa (null where undefined)."""
    rows = []
    for first, second, cells in pairs:
        total = weights @ cells
        kappa = float(kappa_of(total))
        counts = dict(zip(CELLS, map(float, total), strict=True))
        items = int(cells.sum())
        rows.append({"first": first, "second": second, "items": items, **counts, "kappa": kappa})
    schema = {"first": pl.String, "second": pl.String, "items": pl.Int64, **dict.fromkeys(CELLS, pl.Float64)}
    return pl.DataFrame(rows, schema={**schema, "kappa": pl.Float64}).with_columns(pl.col("kappa").fill_nan(None))


def labelled_rows(tables: IterationTables, scope: str) -> Rows:
    """Return the labelled items of a scope, those with undecided votes only included, each counting once.

    :raises ValueError: the scope is none of labelled items.
    """
    masks = scope_masks(tables.items)
    if scope not in masks:
        raise ValueError(f"scope: {scope!r} holds no labelled items; expected one of {', '.join(masks)}")
    return _rows(tables, masks[scope], np.ones(int(masks[scope].sum())))


def pool_rows(tables: IterationTables, figure: str, votes: int) -> Rows:
    """Return the labelled items that a figure of the whole pool rests on, each with its weight.

    :param votes: decisive votes that an item needs. Of the prevalence all labelled items tell.
    """
    items, design = tables.items, tables.design
    if figure in ("prevalence", "threshold_prevalence"):
        usable = items.decisive > 0
        sample = design.sample(items.item_id, usable)
    elif figure in ("brier_score", "calibration_error"):
        usable = items.by_lot & (items.decisive > 0)
        sample = design.sample(items.item_id, usable)
    else:
        sample, usable = model_sample(items, tables.models, design, votes)
    return _rows(tables, usable, sample.weights)


def answered_rows(tables: IterationTables, scope: str) -> Rows:
    """Return the items of a scope with two answers, "cannot decide" included; those of the audit with their weights."""
    items = tables.items
    mask = two_answers(items, scope)
    weights = np.ones(int(mask.sum()))
    if scope == "audit":
        weights = held_out_sample(items, tables.models, tables.design, mask).weights
    return _rows(tables, mask, weights)


def _rows(tables: IterationTables, mask: NDArray[np.bool_], weights: Floats) -> Rows:
    kept, models = tables.items.where(mask), tables.models
    labels = {"student": models["model"][mask], "incumbent": models.get("incumbent", tables.items.incumbent)[mask]}
    labels["recommended"] = models["recommended"][mask] if "recommended" in models else labels["incumbent"]
    scores = {"student": kept.p_student, "incumbent": kept.p_incumbent}
    facts = _facts(tables, kept)
    return Rows(kept.item_id, kept.votes, tuple(tables.raters), labels, scores, weights, kept.undecided_by, facts)


def stop_set_rows(tables: IterationTables, earlier: pl.DataFrame | None) -> Rows:
    """Return the stop set: no votes, but what the student, the incumbent and an earlier student call each item.

    :param earlier: item_id and label of the earlier student; None without one.
    """
    rows = tables.choice.matched(tables.scores).filter(pl.col("role") == "stop_set").sort("item_id")
    ids = np.array(rows["item_id"].to_list(), dtype=np.str_)
    scores = {"student": floats(rows["p_student"]), "incumbent": floats(rows["p_incumbent"])}
    labels = {"student": labels_at(scores["student"], tables.threshold), "incumbent": floats(rows["incumbent_label"])}
    if earlier is not None:
        labels["earlier"] = aligned(earlier.filter(role="stop_set"), ids)
    facts = rows.select("item_id").join(tables.texts, on="item_id", how="left", maintain_order="left")
    nothing = np.full((len(ids), 0), np.nan)
    return Rows(ids, nothing, (), labels, scores, np.ones(len(ids)), np.zeros((len(ids), 0), dtype=np.bool_), facts)


def out_of_fold_rows(tables: IterationTables) -> Rows:
    """Return the items that the calibration curve is fitted to, with the scores of students of other folds."""
    scored = tables.scores.filter(pl.col("role") == OUT_OF_FOLD)
    rows = labelled_rows(tables, "loop")
    kept = rows.where(fits_curve(tables.items) & (rows.decisive > 0))
    return replace(kept, scores={"out_of_fold": aligned(scored, kept.item_id, "p_student")}, labels={})


def with_probability(tables: IterationTables, rows: Rows) -> Rows:
    """Return items with the student's calibrated probability."""
    probability = tables.choice.calibration.probability(rows.scores["student"])
    return replace(rows, scores={**rows.scores, "probability": probability})


def with_earlier(tables: IterationTables, rows: Rows, key: str) -> Rows:
    """Return the items that an earlier student labelled, with its labels."""
    labels = aligned(tables.earlier_labels[key].filter(role="evaluation"), rows.item_id)
    known = rows.where(~np.isnan(labels))
    # At the threshold itself, as the earlier student's labels are.
    now = labels_at(known.scores["student"], tables.threshold)
    return replace(known, labels={**known.labels, "student": now, "earlier": labels[~np.isnan(labels)]})


def _facts(tables: IterationTables, items: LabelledItems) -> pl.DataFrame:
    columns = {
        "item_id": items.item_id,
        "group": items.group,
        "reason": items.reason,
        "split": items.split,
        "iteration": items.iteration,
        "stratum": items.stratum,
    }
    # Without items there is nothing to infer a type from.
    schema = dict.fromkeys(columns, pl.String)
    frame = pl.DataFrame({name: values.tolist() for name, values in columns.items()}, schema=schema)
    known = {"stratum_size": items.stratum_size, "inclusion_probability": items.inclusion_probability}
    frame = frame.with_columns(
        pl.col("stratum").replace("", None),
        **{name: pl.Series(values, dtype=pl.Float64).fill_nan(None) for name, values in known.items()},
    )
    texts = tables.texts.select("item_id", "text")
    return frame.join(texts, on="item_id", how="left", maintain_order="left").select(
        "item_id", "text", pl.exclude("item_id", "text")
    )


def _words(values: Floats) -> list[str | None]:
    return [_LABELS.get(float(value)) for value in values]
