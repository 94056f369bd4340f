"""The cells of a study: one loop each, or one baseline, and the name under which its rows are kept."""

from dataclasses import asdict, dataclass

from al_assets.config import fingerprint_of
from al_assets.study.settings import Control, Study

METHOD = 1
"""Raised when the same study file would give other figures than before: older cells are then run again."""
CROWD, LLM0 = "crowd", "llm0"


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


def cell_name(study: Study, cell: Cell, digest: str) -> str:
    """Return a name that changes with everything the cell's figures depend on but for the machine.

    :param digest: of the data set's texts and judgements.
    """
    dataset = study.datasets[cell.dataset]
    student = study.students.get(cell.student)
    embedding = study.embeddings.get(cell.embedding)
    control = study.controls.get(cell.variant)
    return fingerprint_of(
        [
            METHOD,
            asdict(cell),
            digest,
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


def control_of(study: Study, cell: Cell) -> Control | None:
    """Return the cell's control; None in the base."""
    return study.controls.get(cell.variant)
