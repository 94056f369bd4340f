"""The cells of a study, each a loop, the crowd's baseline or LLM-0 as it is: their names and their rows."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.config import EmbeddingSettings, LinearStudent, StudentSettings, fingerprint_of
from al_assets.curation.queue.cold_start import promising_share
from al_assets.curation.strategies.base import Strategy
from al_assets.curation.strategies.by_score import UniformRandom
from al_assets.curation.strategies.registry import make_strategy, needs_reference
from al_assets.models.students.record import one_sided
from al_assets.study.learner import Learn
from al_assets.study.loop import ChooseStrategy, LoopRound, OfflineLoop, RoundLabeler, Situation, rows_of
from al_assets.study.panel import PanelSettings
from al_assets.study.recipes import linear_scores, make_recipe
from al_assets.study.settings import ALL, LoopSection, Study, updated
from al_assets.study.trial import Trial
from al_assets.study.workshop import Tell, Workshop

METHOD = 5
"""Raised when the same study file would give other figures than before: older cells are then run again."""
CROWD, LLM0 = "crowd", "llm0"
StudyRow = dict[str, Any]
_CROWD_STREAM = 14
KAPPAS = ("kappa", "kappa_boundary", "kappa_half", "kappa_best")
_NOTHING: StudyRow = dict.fromkeys((*KAPPAS, "average_precision", "positive_share", "seconds"))


@dataclass(frozen=True)
class Cell:
    """One loop, or one baseline, with one seed.

    :param strategy: a strategy of the study, ``crowd`` or ``llm0``.
    :param student: "none" for ``llm0``; ``embedding`` and ``budget`` are "none" and 0 for both baselines.
    :param variant: a control of the study; "" is the base.
    """

    dataset: str
    student: str
    embedding: str
    strategy: str
    budget: int
    variant: str
    seed: int


def cells_of(study: Study) -> list[Cell]:
    """Return all cells, those of a data set and seed together."""
    return [
        cell
        for dataset in study.datasets
        for seed in range(study.seed, study.seed + study.seeds)
        for cell in _of_seed(study, dataset, seed)
    ]


def cell_name(study: Study, cell: Cell, inputs: str) -> str:
    """Return a name that changes with everything the cell's figures depend on but for the machine.

    :param inputs: digits of what is read for the data set.
    """
    dataset = study.datasets[cell.dataset]
    student = study.students.get(cell.student)
    embedding = study.embeddings.get(cell.embedding)
    control = study.controls.get(cell.variant)
    return fingerprint_of(
        [
            METHOD,
            asdict(cell),
            inputs,
            dataset.fingerprint(),
            # The held-out boundary items are picked in the first embedding.
            next(iter(study.embeddings.values())).fingerprint(),
            embedding.fingerprint() if embedding else None,
            student.fingerprint() if student else None,
            study.strategy_choices.get(cell.strategy),
            study.rounds,
            study.loop.fingerprint(),
            study.crowd_sizes if cell.strategy == CROWD else None,
            control.model_dump(mode="json") if control else None,
            study.probes,
        ]
    )


def _of_seed(study: Study, dataset: str, seed: int) -> list[Cell]:
    cells = [Cell(dataset, "none", "none", LLM0, 0, "", seed)]
    for student in study.students:
        if study.crowd_sizes:
            cells.append(Cell(dataset, student, "none", CROWD, 0, "", seed))
        cells += [
            Cell(dataset, student, embedding, strategy, budget, "", seed)
            for embedding in study.embeddings
            for strategy in study.strategy_choices
            for budget in study.budgets
        ]
    student, embedding, budget = next(iter(study.students)), next(iter(study.embeddings)), study.budgets[0]
    return cells + [
        Cell(dataset, student, embedding, study.default, budget, control, seed) for control in study.controls
    ]


def run_cell(workshop: Workshop, cell: Cell, say: Tell = lambda _: None) -> list[StudyRow]:
    """Return the cell's rows: one a round, one for each size of the crowd's baseline, or one for LLM-0.

    :raises StudyError: there are not enough texts, or raters do not agree as far as asked.
    """
    study = workshop.study
    control = study.controls.get(cell.variant)
    panel = study.datasets[cell.dataset].panel
    labelling = updated(panel, control.panel) if control and control.panel else None
    trial = _trial(workshop, cell.dataset, labelling, cell.seed)
    common = {**asdict(cell), **_NOTHING, **trial.human_kappas(), "prevalence": trial.prevalence}
    if cell.strategy == LLM0:
        threshold = prevalence_threshold(trial.first.pool, trial.prevalence)
        return [{**common, "round": 0, "labels": 0, "votes": 0, **trial.figures(trial.first, threshold)}]
    run = _crowd if cell.strategy == CROWD else _loop
    return [{**common, **row} for row in run(workshop, cell, trial, say)]


# Cells of a seed come one after the other, and drawing takes as long as a short loop.
@lru_cache(maxsize=2)
def _trial(workshop: Workshop, dataset: str, labelling: PanelSettings | None, seed: int) -> Trial:
    return Trial.draw(workshop, dataset, labelling, seed)


def _crowd(workshop: Workshop, cell: Cell, trial: Trial, say: Tell) -> list[StudyRow]:
    """Train the student on ever larger uniform samples of pool and spare items with one crowd vote each.

    Its threshold is matched to the true positive share, which makes the baseline stronger than it would be in practice:
    a lenient crowd would have it call too much.
    """
    study = workshop.study
    learn = make_recipe(workshop, cell.dataset, trial, study.students[cell.student], cell.seed, say)
    votes = trial.crowd
    order = np.random.default_rng((cell.seed, _CROWD_STREAM)).permutation(np.flatnonzero(~np.isnan(votes)))
    sizes = sorted({len(order) if size == ALL else min(int(size), len(order)) for size in study.crowd_sizes})
    rows = []
    for number, size in enumerate(sizes):
        started = time.perf_counter()
        sample = np.sort(order[:size])
        labels = votes[sample]
        row: StudyRow = {"round": number, "labels": size, "votes": size, "training_items": size}
        row["positive_share"] = float(labels.mean()) if size else None
        student = None
        if not one_sided(labels):
            scores = learn(sample, labels)
            student = RoundLabeler(scores, prevalence_threshold(scores.pool, trial.prevalence))
        row |= student_figures(trial, student)
        rows.append({**row, "seconds": time.perf_counter() - started})
    return rows


def _loop(workshop: Workshop, cell: Cell, trial: Trial, say: Tell) -> list[StudyRow]:
    study = workshop.study
    control = study.controls.get(cell.variant)
    student = study.students[cell.student]
    if control:
        student = updated(student, control.student)
    learn = make_recipe(workshop, cell.dataset, trial, student, cell.seed, say)
    start = trial.kappa(learn.start, trial.prevalence) if learn.start else None
    rows: list[StudyRow] = []
    for outcome in play(workshop, cell, trial, learn, say):
        probes = _probes(workshop, cell, trial, student, outcome) if study.probes else {}
        rows.append({**_round(outcome, trial), **probes, "start_kappa": start})
    return rows


def play(workshop: Workshop, cell: Cell, trial: Trial, learn: Learn, say: Tell = lambda _: None) -> Iterator[LoopRound]:
    """Play a cell's loop with a student of any recipe, round by round."""
    study = workshop.study
    control = study.controls.get(cell.variant)
    settings = updated(study.loop, control.loop) if control else study.loop
    vectors = workshop.vectors(cell.dataset, study.embeddings[cell.embedding])
    loop = OfflineLoop(trial.loop_pool(vectors), learn, settings.loop_settings(cell.budget, study.rounds), cell.seed)
    choose = _strategy(study, cell, settings)
    for number in range(study.rounds):
        say(f"round {number + 1} of {study.rounds}")
        yield loop.next_round(choose)


def _strategy(study: Study, cell: Cell, settings: LoopSection) -> ChooseStrategy:
    """Return the strategy as the assets make it; the cold start divides the share of boundary pairs.

    Learnability compares the labeler with a reference, or with what the labels teach: it picks at random until there
    are labels of both classes.
    """
    choice = study.strategy_choices[cell.strategy]

    def choose(situation: Situation) -> Strategy:
        known = situation.two_views or len(set(situation.boundary_labels.tolist())) > 1
        if needs_reference(choice) and not known:
            return UniformRandom()
        promising = settings.promising
        if promising is None:
            promising = promising_share(situation.evidence, situation.target).share
        return make_strategy(choice, settings.exploration, promising)

    return choose


def _round(outcome: LoopRound, trial: Trial) -> StudyRow:
    votes = sum(int(outcome.split[name].sum()) for name in ("positive_votes", "negative_votes", "undecided_votes"))
    picked = outcome.picked.select("item_id").join(outcome.split.drop_nulls("label"), on="item_id")["label"].to_numpy()
    row: StudyRow = {
        "round": outcome.number,
        "labels": outcome.split.height,
        "votes": votes,
        "positive_share": float(picked.mean()) if len(picked) else None,
        "training_items": outcome.taught.height,
        "curation_seconds": outcome.curation_seconds,
        "training_seconds": outcome.training_seconds,
        "seconds": outcome.curation_seconds + outcome.training_seconds,
        "estimated_prevalence": outcome.prevalence,
    }
    student = outcome.student
    if student and not np.isnan(outcome.tuned):
        row["kappa_tuned"] = trial.kappa_at(student.scores, outcome.tuned)
    return row | student_figures(trial, student) | _judged(trial, outcome)


def _judged(trial: Trial, outcome: LoopRound) -> StudyRow:
    """Return what the loop makes of its student, and the kappas in the population that tell whether it is right."""
    if outcome.judgement is None:
        return {}
    labeler, recommended, gain = outcome.judgement.labeler, outcome.judgement.recommended, outcome.judgement.gain
    return {
        "promoted": float(outcome.student is outcome.incumbent),
        "incumbent_kappa": trial.kappa_at(labeler.scores, labeler.threshold),
        "recommended_kappa": trial.kappa_at(recommended.scores, recommended.threshold),
        "gain": gain.estimate,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "better": float(outcome.judgement.better),
    }


def student_figures(trial: Trial, student: RoundLabeler | None) -> StudyRow:
    """Return what a student is worth: where all labels were of one class, so that none could learn, what chance is."""
    if student is None:
        return {**dict.fromkeys(KAPPAS, 0.0), "average_precision": float(trial.held_truth.mean())}
    return trial.figures(student.scores, student.threshold)


def _probes(workshop: Workshop, cell: Cell, trial: Trial, student: StudentSettings, outcome: LoopRound) -> StudyRow:
    """Return kappa of linear heads that tell how far a representation goes, beside the round's student.

    ``ceiling`` is of a head that learnt the truth of the whole pool: on the frozen vectors of a linear student, else on
    those of selection. The others learnt from the same labels as the student.
    """
    embedding = workshop.study.embeddings[cell.embedding]
    own = isinstance(student, LinearStudent)
    base = student.embedding if isinstance(student, LinearStudent) else embedding
    row: StudyRow = {"ceiling": _ceiling(workshop, cell.dataset, cell.seed, base)}
    row |= {"probe_embedding": None, "probe_student": None}
    if outcome.student is not None:
        vectors, taught = workshop.vectors(cell.dataset, embedding), outcome.taught
        lesson = rows_of(taught), taught["positive_share"].to_numpy()
        row["probe_embedding"] = _head_kappa(trial, vectors, *lesson, outcome.prevalence)
        probe = outcome.student.scores if own else outcome.student.scores.probe
        row["probe_student"] = trial.kappa(probe, outcome.prevalence) if probe else None
    return row


# The same for every loop of a seed, and a fit to the whole pool takes as long as a loop.
@lru_cache(maxsize=8)
def _ceiling(workshop: Workshop, dataset: str, seed: int, embedding: EmbeddingSettings) -> float | None:
    trial = _trial(workshop, dataset, None, seed)
    truth = trial.panel.truth[: len(trial.pool)]
    if truth.all() or not truth.any():
        return None
    labels = truth.astype(np.float64)
    return _head_kappa(trial, workshop.vectors(dataset, embedding), np.arange(len(truth)), labels, trial.prevalence)


def _head_kappa(
    trial: Trial, vectors: NDArray[np.float32], rows: NDArray[np.int64], labels: Floats, prevalence: float
) -> float | None:
    pool = vectors[trial.pool]
    scores = linear_scores(pool[rows], labels, pool, vectors[trial.held_out])
    return trial.kappa(scores, prevalence)
