"""Rounds of the loop on a simulated pool whose every vote is known: what is asked, by whom, and what is true.

An item is clearly positive, clearly negative or ambiguous; experts answer independently given that. Labelers are
scores that see part of it. Each round's queue is drawn by the loop's own ``build_queue``: audit and control by lot, the
rest near the labeler's threshold and at the top of its scores, so that positives are used up. Nothing is learnt:
labelers are made beforehand, each as good as it is said to be, and the truth is what the experts would say of every
item of the pool.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.core.labelled_items import RANDOM_REASONS
from al_assets.curation.queue.check import draw_check
from al_assets.curation.queue.review_queue import Sources, build_queue
from al_assets.curation.queue.strata import plan_strata
from al_assets.curation.settings import DEFAULTS
from al_assets.curation.split import uniform_hash
from al_assets.curation.strategies.registry import make_strategy

# The chance that an expert calls an item positive: clearly positive, ambiguous, clearly negative (times prevalence).
_CLEAR, _AMBIGUOUS, _SLIP = 0.97, 0.5, 0.04
# Ambiguous items for each positive; two experts then agree with kappa .81 to .83.
_AMBIGUOUS_SHARE = 0.4
# Of what is in a score beside the truth, the part that all labelers share: they err on the same items.
_COMMON_NOISE = 0.8
_EVALUATION_SHARE = 0.3
# Of a student's noise, the part that students of all folds but one share: of linear students on MiniLM vectors the rest
# of the log-odds, their label aside, correlates by .97 to .98; here by .95.
_FOLD_NOISE = 0.9
# A student's signal after so many labels: signal - lost * (240 / labels) ** power.
_LEARNT = (3.15, 0.65, 0.5)
# Audit items always are held out, the others by the share.
_TEACHING_SHARE = (1 - DEFAULTS.shares[1]) * (1 - _EVALUATION_SHARE)
_ASKED = ("item_id", "revision", "reason", "stratum", "stratum_size", "inclusion_probability")
# What the policy file expects of the prevalence, in units of the truth, and how many labels that guess is worth.
_GUESS, _STRENGTH = 1.5, 30.0


@dataclass(frozen=True)
class RoundsSetting:
    """A pool and the rounds asked of it.

    :param items: of the pool at the end.
    :param prevalence: share of positives; items that join later have twice as many.
    :param audit: items of each round's audit; the queue is larger, by the default shares.
    :param rounds: rounds asked.
    :param growth: part of the pool that joins after the first round, evenly over the rounds.
    :param lost: part of the pool that leaves it round by round, of what is positive twice as much.
    :param uneven: standard deviation of the logarithm of what an item counts for; 0: all count alike.
    :param matched: thresholds are matched to the prevalence estimated so far; else to the true one.
    :param raters: experts; two of them, drawn by lot, answer each item.
    :param signals: how far scores of positives lie above those of negatives, in standard deviations, labeler by
        labeler: LLM-0 first, then the student of each round; the last one stands for all after it.
    :param learning: students are as good as the labels they learnt from are many, whatever ``signals`` says of them.
    :param folds: all that is asked teaches, and is judged by students of so many folds; 0: some is held out.
    :param unseen: share of positives that no score tells from negatives.
    :param check: items of a second draw of each round, stratified by the labels of student and labeler; or, if
        ``as_audit``, as the audit is.
    """

    items: int = 3_000
    prevalence: float = 0.1
    audit: int = 60
    rounds: int = 10
    growth: float = 0.0
    lost: float = 0.0
    uneven: float = 0.0
    matched: bool = True
    raters: int = 2
    signals: tuple[float, ...] = (2.2, 2.5, 2.7, 2.8, 2.9, 3.0)
    learning: bool = False
    folds: int = 0
    unseen: float = 0.0
    check: int = 0
    as_audit: bool = False

    def __str__(self) -> str:
        """Return what tells it from the others, in words."""
        words = [f"pool {self.items}", f"prevalence {self.prevalence:g}", f"audit {self.audit}"]
        words += [f"{self.growth:.0%} join later"] if self.growth else []
        words += [f"{self.lost:.0%} leave"] if self.lost else []
        words += ["items of uneven weight"] if self.uneven else []
        words += [] if self.matched else ["thresholds at the true prevalence"]
        words += [f"{self.raters} raters"] if self.raters > 2 else []
        words += [f"{self.folds} folds" if self.folds else "held out"] if self.learning else []
        return ", ".join(words)

    def signal(self, labeler: int) -> float:
        """Return how well a labeler tells positives: 0 is LLM-0, 1 the first round's student."""
        if labeler and self.learning:
            return self._learnt(labeler, 1.0)
        return self.signals[min(labeler, len(self.signals) - 1)]

    def fold_signal(self, labeler: int) -> float:
        """Return how well a student tells positives that learnt from all folds but one."""
        return self._learnt(labeler, 1 - 1 / self.folds)

    def _learnt(self, rounds: int, share: float) -> float:
        teaching = 1.0 if self.folds else _TEACHING_SHARE
        most, lost, power = _LEARNT
        return float(most - lost * (240 / (rounds * self.budget * teaching * share)) ** power)

    @property
    def budget(self) -> int:
        """Items a round asks."""
        return round(self.audit / DEFAULTS.shares[1])


@dataclass(frozen=True)
class RoundsPool:
    """A pool with all that anybody would say about it.

    :param ids: shape (items,), as are all without another shape.
    :param votes: of every expert, shape (items, raters).
    :param asked: of the two who are asked, NaN for the others; same shape.
    :param joined: the round whose snapshot first held the item, from 0; ``left`` that whose snapshot no longer does.
    :param weight: what an item counts for.
    :param held_out: the split by hash keeps it for evaluation, if a rule chose it.
    :param chance: that an expert calls it positive.
    :param kind: 0 to 1 by lot; no labeler sees what is positive of the kinds below the setting's ``unseen``.
    :param noise: labeler by labeler, what is in a score beside the truth.
    :param fold_of: labeler by labeler, the fold each item would be in; none where nothing is cross-fitted.
    :param fold_scores: labeler by labeler, the scores of the students of the other folds, shape (folds, items).
    """

    ids: NDArray[np.str_]
    votes: Floats
    asked: Floats
    joined: NDArray[np.int64]
    left: NDArray[np.int64]
    weight: Floats
    held_out: NDArray[np.bool_]
    chance: Floats
    kind: Floats
    noise: tuple[Floats, ...]
    scores: tuple[Floats, ...]
    fold_of: tuple[NDArray[np.int64], ...]
    fold_scores: tuple[Floats, ...]


def make_pool(setting: RoundsSetting, rng: np.random.Generator) -> RoundsPool:
    """Draw a pool."""
    items = setting.items
    late = round(setting.growth * items)
    joined = np.zeros(items, dtype=np.int64)
    if late:
        joined[items - late :] = 1 + np.arange(late) * (setting.rounds - 1) // late
    prevalence = np.where(joined > 0, 2.0, 1.0) * setting.prevalence
    lot = rng.random(items)
    ambiguous = _AMBIGUOUS_SHARE * prevalence
    clear = (prevalence - _AMBIGUOUS * ambiguous - _SLIP * prevalence) / _CLEAR
    chance = np.where(lot < clear, _CLEAR, np.where(lot < clear + ambiguous, _AMBIGUOUS, _SLIP * prevalence))
    votes = (rng.random((items, setting.raters)) < chance[:, None]).astype(np.float64)
    places = np.argsort(rng.random((items, setting.raters)), axis=1) < 2
    asked = np.where(places, votes, np.nan)
    ids = np.array([f"i{place:06d}" for place in rng.permutation(items)], dtype=np.str_)
    held_out = np.array([bool(setting.folds) or uniform_hash(each, 0) < _EVALUATION_SHARE for each in ids])
    common = rng.standard_normal(items)
    noise = tuple(
        np.sqrt(_COMMON_NOISE) * common + np.sqrt(1 - _COMMON_NOISE) * rng.standard_normal(items)
        for _ in range(setting.rounds + 1)
    )
    kind = rng.random(items)
    seen = chance * (kind >= setting.unseen)
    scores = tuple(each + setting.signal(labeler) * seen for labeler, each in enumerate(noise))
    left, weight = np.full(items, setting.rounds), np.ones(items)
    if setting.lost:
        leaving = rng.random(items) < setting.lost * np.where(chance >= _AMBIGUOUS, 2.0, 1.0)
        left = np.where(leaving, rng.integers(1, setting.rounds, items), left)
    if setting.uneven:
        weight = np.exp(setting.uneven * (rng.standard_normal(items) + chance))
    fold_of, fold_scores = _folds(setting, noise, seen, rng) if setting.folds else ((), ())
    return RoundsPool(
        ids, votes, asked, joined, left, weight, held_out, chance, kind, noise, scores, fold_of, fold_scores
    )


def _folds(
    setting: RoundsSetting, noise: Sequence[Floats], seen: Floats, rng: np.random.Generator
) -> tuple[tuple[NDArray[np.int64], ...], tuple[Floats, ...]]:
    shape = setting.folds, setting.items
    scores = [seen[None, :]]
    for labeler, whole in enumerate(noise[1:], start=1):
        own = np.sqrt(_FOLD_NOISE) * whole + np.sqrt(1 - _FOLD_NOISE) * rng.standard_normal(shape)
        scores.append(own + setting.fold_signal(labeler) * seen)
    return tuple(rng.integers(0, setting.folds, setting.items) for _ in noise), tuple(scores)


@dataclass(frozen=True)
class Round:
    """What there is after a round.

    :param number: from 1.
    :param asked: a row for each item asked so far: item_id, iteration, revision (1 for a second draw), reason,
        stratum, stratum_size, inclusion_probability.
    :param frame: a row for each item of the pool now: item_id, joined (the key of an iteration).
    :param rows: shape (asked,), the asked items' places in the pool; ``now`` those of the frame's items.
    :param models: labels of the round's student (``model``) and of the labeler that chose the queue (``incumbent``),
        1 or 0, each of shape (items,).
    :param judged: the labels they are judged by: of items they learnt from, those of students of the other folds.
    """

    number: int
    pool: RoundsPool
    asked: pl.DataFrame
    frame: pl.DataFrame
    rows: NDArray[np.int64]
    now: NDArray[np.int64]
    models: Mapping[str, Floats]
    judged: Mapping[str, Floats]

    @property
    def random(self) -> NDArray[np.bool_]:
        """Which asked items were drawn by lot, shape (asked,)."""
        return self.asked["reason"].is_in(RANDOM_REASONS).to_numpy()

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """Which asked items no student may learn from, shape (asked,): those drawn as audit or check, and by hash."""
        return self.asked["reason"].is_in(["audit", "check"]).to_numpy() | self.pool.held_out[self.rows]

    def truth(self) -> dict[str, float]:
        """Return what the experts would say of every item of the pool."""
        models = {name: each[self.now] for name, each in self.models.items()}
        return true_figures(self.pool.votes[self.now], models, self.pool.weight[self.now])


PrevalenceOf = Callable[[Round], float]


def true_figures(votes: Floats, models: Mapping[str, Floats], weight: Floats | None = None) -> dict[str, float]:
    """Return the figures of items that every expert answered.

    :param votes: shape (items, raters).
    :param weight: shape (items,), what each counts for; None: all alike.
    """
    weight = np.ones(len(votes)) if weight is None else weight
    agreement = Panel(votes, models).figures(weight[None, :])
    share = votes.mean(axis=1)
    prevalence = float(weight @ share / weight.sum())
    figures = {"prevalence": prevalence, "expert_expert_kappa": float(agreement["expert_expert_kappa"][0])}
    for name, labels in models.items():
        figures[f"{name}_expert_kappa"] = float(agreement[f"{name}_expert_kappa"][0])
        called = weight * labels
        figures[f"{name}_precision"] = float(called @ share / called.sum())
        figures[f"{name}_recall"] = float(called @ share / (weight @ share))
    if {"model", "incumbent"} <= set(models):
        figures["student_gain"] = figures["model_expert_kappa"] - figures["incumbent_expert_kappa"]
    return figures


def simulated_rounds(setting: RoundsSetting, rng: np.random.Generator, prevalence_of: PrevalenceOf) -> Iterator[Round]:
    """Yield the state after each round.

    :param prevalence_of: estimates the positive share that thresholds are matched to.
    """
    pool = make_pool(setting, rng)
    queues: list[pl.DataFrame] = []
    guess = (_GUESS if setting.matched else 1.0) * setting.prevalence
    threshold = _quantile(pool.scores[0][pool.joined == 0], guess)
    judged: dict[str, Floats] = {}
    for number in range(1, setting.rounds + 1):
        now = np.flatnonzero((pool.joined < number) & (pool.left >= number))
        models = {"incumbent": (pool.scores[number - 1] >= threshold).astype(np.float64)}
        judged = {"incumbent": judged.get("model", models["incumbent"])}
        queues.append(_queue(pool, now, models["incumbent"], setting, number, queues, int(rng.integers(2**32))))
        state = _round(number, pool, queues, now, models, judged)
        if setting.matched:
            known = int(state.random.sum())
            share = (known * prevalence_of(state) + _STRENGTH * guess) / (known + _STRENGTH)
        else:
            share = float(pool.votes[now].mean())
        threshold = _quantile(pool.scores[number][now], share)
        models["model"] = (pool.scores[number] >= threshold).astype(np.float64)
        judged["model"] = _judged(state, models["model"], share) if setting.folds else models["model"]
        if setting.check:
            queues.append(_check(state, models, setting, int(rng.integers(2**32))))
        yield _round(number, pool, queues, now, models, judged)


def _judged(state: Round, labels: Floats, share: float) -> Floats:
    """Return the labels by which the round's student is judged, with fold students at thresholds of their own."""
    scores, fold_of = state.pool.fold_scores[state.number], state.pool.fold_of[state.number][state.rows]
    cuts = np.array([_quantile(each[state.now], share) for each in scores])
    judged = labels.copy()
    judged[state.rows] = scores[fold_of, state.rows] >= cuts[fold_of]
    return judged


def _queue(
    pool: RoundsPool, now: NDArray[np.int64], called: Floats, setting: RoundsSetting, number: int,
    queues: list[pl.DataFrame], seed: int,
) -> pl.DataFrame:  # fmt: skip
    ids = pl.Series("item_id", pool.ids[now])
    probability = _probability(pool.scores[number - 1][now])
    queue = build_queue(
        pool=pl.DataFrame({"item_id": ids}).with_columns(text=pl.lit(""), duplicate_of=pl.lit(None, dtype=pl.String)),
        scores=pl.DataFrame({"item_id": ids, "p_positive": probability, "label": called[now] == 1}),
        sources=Sources(),
        shares=DEFAULTS.shares,
        budget=setting.budget,
        audit_strata=DEFAULTS.audit_strata,
        strategy=make_strategy({"margin": 0.6, "top_scored": 0.4}, DEFAULTS.exploration),
        exclude=[item for each in queues for item in each["item_id"]],
        seed=seed,
    )
    return queue.with_columns(iteration=pl.lit(_key(number)), revision=pl.lit(0)).select("iteration", *_ASKED)


def _round(
    number: int, pool: RoundsPool, queues: list[pl.DataFrame], now: NDArray[np.int64], models: Mapping[str, Floats],
    judged: Mapping[str, Floats],
) -> Round:  # fmt: skip
    asked = pl.concat(queues)
    joined = [_key(each + 1) for each in pool.joined[now]]
    frame = pl.DataFrame({"item_id": pool.ids[now], "joined": joined, "weight": pool.weight[now]})
    order = np.argsort(pool.ids)
    rows = order[np.searchsorted(pool.ids[order], asked["item_id"].to_numpy().astype(np.str_))]
    return Round(number, pool, asked, frame, rows, now, dict(models), dict(judged))


def _check(state: Round, models: Mapping[str, Floats], setting: RoundsSetting, seed: int) -> pl.DataFrame:
    """Return what a second draw asks: by the labels of both models, as the loop draws it, or as an audit is drawn."""
    free, pool = np.setdiff1d(state.now, state.rows), state.pool
    stop_set = pl.DataFrame(
        {
            "item_id": pool.ids[free],
            "text": "",
            "student": models["model"][free] == 1,
            "other": models["incumbent"][free] == 1,
            "incumbent": models["incumbent"][free] == 1,
            "p_incumbent": _probability(pool.scores[state.number - 1][free]),
        }
    )
    budget = min(setting.check, len(free))
    if not setting.as_audit:
        lot = state.rows[state.random]
        known = pl.DataFrame(
            {
                "student": models["model"][lot] == 1,
                "other": models["incumbent"][lot] == 1,
                "positive_share": np.nanmean(pool.asked[lot], axis=1),
            }
        )
        drawn = draw_check(stop_set, known, wanted=budget, askable=len(free), seed=seed)
    else:
        scores, called = stop_set["p_incumbent"].to_numpy(), stop_set["incumbent"].to_numpy()
        plan = plan_strata(scores, called, budget=budget, bins=DEFAULTS.audit_strata)
        rows = plan.draw(seed)
        drawn = stop_set[rows].with_columns(
            stratum=pl.Series(plan.names[plan.member[rows]].tolist()),
            stratum_size=pl.Series(plan.sizes[plan.member[rows]]),
            inclusion_probability=pl.Series(plan.inclusion_probability[rows]),
        )
    return drawn.with_columns(iteration=pl.lit(_key(state.number)), revision=pl.lit(1), reason=pl.lit("check")).select(
        "iteration", *_ASKED
    )


def _probability(scores: Floats) -> Floats:
    return 1 / (1 + np.exp(-scores))


def _key(number: int) -> str:
    return f"{number - 1:04d}"


def _quantile(scores: Floats, share: float) -> float:
    return float(np.quantile(scores, 1 - share))
