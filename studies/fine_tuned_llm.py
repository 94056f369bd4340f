"""The published comparison in kind: a language model fine-tuned on the loop's labels, and on as many random ones.

    python studies/fine_tuned_llm.py studies/fine-tuned-llm.yaml

The labels are those of a whole loop of the study's first student. Each other student learns from them at once, after
its head start if it has one: it is asked before and after, about the held-out items and about 1,000 items of the pool,
which its threshold is matched to. LLM-0 before it learns anything is what the study keeps. Killed and run again, it
repeats at most the training it was at.
"""

import tempfile
import time
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.config import SFTStudent
from al_assets.models.students import train_student
from al_assets.models.students.sft import SFTLabeler
from al_assets.study.cells import Cell, play
from al_assets.study.learner import Scores
from al_assets.study.loop import rows_of
from al_assets.study.recipes import FineTunedRecipe, make_recipe
from al_assets.study.settings import load_study
from al_assets.study.trial import Trial, model_kappa
from al_assets.study.workshop import Workshop, model_location, policy_of

ASKED_OF_POOL, RESAMPLES = 1_000, 2_000
NO_LABELS = "no labels"


def main(file: Path, folder: Annotated[Path | None, typer.Option()] = None) -> None:
    """Print the figures of each data set, model and strategy, then the differences between them."""
    study = load_study(file)
    folder = folder or Path(".al/studies") / study.name
    workshop = Workshop(study, folder)
    workshop.prepare(typer.echo)
    for dataset, about in study.datasets.items():
        for seed in range(study.seed, study.seed + study.seeds):
            trial = Trial.draw(workshop, dataset, None, seed)
            said = {"LLM-0": trial.first}
            _print(f"{dataset}, seed {seed}: LLM-0", trial, trial.first, 0, np.zeros(2))
            for name, settings in study.students.items():
                if not isinstance(settings, SFTStudent):
                    continue
                for strategy in (NO_LABELS, *study.strategy_choices):
                    if strategy == NO_LABELS and settings.base_model == getattr(about.labeler, "model", None):
                        continue
                    path = folder / "said" / f"{dataset}-{name}-{strategy}-{seed}.npz"
                    if not path.exists():
                        path.parent.mkdir(parents=True, exist_ok=True)
                        np.savez(path, **_answers(workshop, dataset, trial, strategy, seed, settings))
                    kept = np.load(path)
                    scores = said[f"{name}, {strategy}"] = Scores(kept["pool"], kept["held_out"])
                    which = f"{dataset}, seed {seed}: {name}, {strategy}"
                    _print(which, trial, scores, int(kept["labels"]), kept["seconds"])
            _compare(trial, said, f"{dataset}, seed {seed}", seed)


def _answers(
    workshop: Workshop, dataset: str, trial: Trial, strategy: str, seed: int, settings: SFTStudent
) -> dict[str, Any]:
    """Return what the student says of items of the pool and of the held-out ones, and the seconds it took."""
    texts, about, base_dir = workshop.texts(dataset).texts, workshop.study.datasets[dataset], workshop.study.base_dir
    located = settings.model_copy(update={"base_model": model_location(settings.base_model, base_dir), "seed": seed})
    policy = policy_of(about.wording, student=located)
    student = policy.student
    assert isinstance(student, SFTStudent)
    sample = np.random.default_rng(seed).choice(trial.pool, min(ASKED_OF_POOL, len(trial.pool)), replace=False)
    labels, started = np.zeros(0), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        recipe = make_recipe(workshop, dataset, trial, settings, seed)
        assert isinstance(recipe, FineTunedRecipe)
        begun = recipe.begun
        directory = begun.directory if begun else Path(student.base_model)
        if strategy != NO_LABELS:
            rows, labels = labels_of_loop(workshop, dataset, trial, strategy, seed)
            directory = Path(scratch)
            lessons = [texts[row] for row in trial.pool[rows]]
            train_student(student, policy, lessons, labels.tolist(), directory, _tell, start=begun)
        trained = time.monotonic()
        with SFTLabeler(student, strategy, directory) as asked:
            said = asked.score([texts[row] for row in (*sample, *trial.held_out)])
    seconds = [trained - started, time.monotonic() - trained]
    return {"pool": said[: len(sample)], "held_out": said[len(sample) :], "labels": len(labels), "seconds": seconds}


def labels_of_loop(
    workshop: Workshop, dataset: str, trial: Trial, strategy: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return rows of the pool and shares of positive votes: what the student of the loop's last round learnt from."""
    study = workshop.study
    student, embedding = next(iter(study.students)), next(iter(study.embeddings))
    cell = Cell(dataset, student, embedding, strategy, study.budgets[0], "", seed)
    *_, last = play(workshop, cell, trial, make_recipe(workshop, dataset, trial, study.students[student], seed))
    return rows_of(last.taught), last.taught["positive_share"].to_numpy()


def _tell(done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        typer.echo(f"step {done} of {total}", err=True)


def _print(name: str, trial: Trial, scores: Scores, labels: int, seconds: Any) -> None:
    found = trial.figures(scores, prevalence_threshold(scores.pool, trial.prevalence))
    figures = " ".join(f"{key} {value:.3f}" for key, value in found.items() if value is not None)
    typer.echo(f"{name}: {labels} labels, {figures}, training {seconds[0]:.0f} s, asking {seconds[1]:.0f} s")


def _compare(trial: Trial, said: dict[str, Scores], which: str, seed: int) -> None:
    """Print differences in kappa with their intervals over held-out items, all drawn alike."""
    draws = np.random.default_rng(seed).integers(len(trial.held_out), size=(RESAMPLES, len(trial.held_out)))
    kappas = {}
    for name, scores in said.items():
        called = scores.held_out >= prevalence_threshold(scores.pool, trial.prevalence)
        whole = model_kappa(called, trial.judged)
        kappas[name] = whole, np.array([model_kappa(called[rows], trial.judged[rows]) for rows in draws])
    for (one, (first, drawn)), (other, (second, again)) in combinations(kappas.items(), 2):
        low, high = np.quantile(again - drawn, [0.025, 0.975])
        typer.echo(f"{which}: {other} minus {one}: {second - first:+.3f} ({low:+.3f} to {high:+.3f})")


if __name__ == "__main__":
    typer.run(main)
