"""The published comparison in kind: a language model fine-tuned on the loop's labels, and on as many random ones.

    python studies/fine_tuned_llm.py studies/fine-tuned-llm.yaml

The labels are those of a whole loop of the study's first student on its first data set. Each other student learns from
them at once: it is asked before and after, about the held-out items and about 1,000 items of the pool, which its
threshold is matched to. A prompt of ``policy`` stands for LLM-0's own. Killed and run again, it repeats at most the
training it was at.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.config import CausalLMSettings, SFTStudent
from al_assets.models.labelers.prompts import in_chat, policy_prompt
from al_assets.models.labelers.yes_no import load_tokenizer
from al_assets.models.students import train_student
from al_assets.models.students.sft import SFTLabeler
from al_assets.study.cells import Cell, play
from al_assets.study.learner import Scores
from al_assets.study.loop import rows_of
from al_assets.study.recipes import make_recipe
from al_assets.study.settings import Study, load_study
from al_assets.study.trial import Trial
from al_assets.study.workshop import Workshop, model_location, policy_of

ASKED_OF_POOL = 1_000


def main(file: Path, folder: Annotated[Path | None, typer.Option()] = None) -> None:
    """Print a line of figures for each model, strategy and seed."""
    study = load_study(file)
    folder = folder or Path(".al/studies") / study.name
    workshop, dataset = Workshop(study, folder), next(iter(study.datasets))
    workshop.prepare(typer.echo)
    for seed in range(study.seed, study.seed + study.seeds):
        trial = Trial.draw(workshop, dataset, None, seed)
        for name, settings in _students(study, dataset).items():
            for strategy in ("no labels", *study.strategy_choices):
                path = folder / "rows" / f"{name}-{strategy}-{seed}.json"
                if not path.exists():
                    row = {"model": name, "strategy": strategy, "seed": seed, "settings": settings.model_dump()}
                    path.parent.mkdir(parents=True, exist_ok=True)
                    figures = _figures(workshop, dataset, trial, strategy, seed, settings)
                    path.write_text(json.dumps(row | figures), encoding="utf-8")
                row = json.loads(path.read_text(encoding="utf-8"))
                typer.echo(
                    " ".join(
                        f"{key} {row[key]:.3f}" if isinstance(row[key], float) else str(row[key])
                        for key in row
                        if key != "settings"
                    )
                )


def _students(study: Study, dataset: str) -> dict[str, SFTStudent]:
    return {
        name: _own_prompt(study, dataset, settings)
        for name, settings in study.students.items()
        if isinstance(settings, SFTStudent)
    }


def _own_prompt(study: Study, dataset: str, settings: SFTStudent) -> SFTStudent:
    located = {"base_model": model_location(settings.base_model, study.base_dir)}
    if settings.prompt != "policy":
        return settings.model_copy(update=located)
    about = study.datasets[dataset]
    labeler = about.labeler
    assert isinstance(labeler, CausalLMSettings)
    template = policy_prompt(labeler, policy_of(about.model_dump(include={"question", "guideline"})).policy)
    asked = in_chat(template, load_tokenizer(located["base_model"]), settings.base_model)
    return settings.model_copy(update={**located, "prompt": asked.fill("{text}"), "yes": labeler.yes, "no": labeler.no})


def _figures(
    workshop: Workshop, dataset: str, trial: Trial, strategy: str, seed: int, settings: SFTStudent
) -> dict[str, Any]:
    texts = workshop.texts(dataset).texts
    policy, started = policy_of({}, student=settings), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        directory, labels = Path(settings.base_model), np.zeros(0)
        if strategy != "no labels":
            rows, labels = _labels(workshop, dataset, trial, strategy, seed)
            directory = Path(scratch)
            lessons = [texts[row] for row in trial.pool[rows]]
            train_student(
                settings.model_copy(update={"seed": seed}), policy, lessons, labels.tolist(), directory, _tell
            )
        trained = time.monotonic()
        sample = np.random.default_rng(seed).choice(trial.pool, min(ASKED_OF_POOL, len(trial.pool)), replace=False)
        with SFTLabeler(settings, "", directory) as student:
            said = student.score([texts[row] for row in (*sample, *trial.held_out)])
    scores = Scores(said[: len(sample)], said[len(sample) :])
    seconds = {"training_seconds": trained - started, "asking_seconds": time.monotonic() - trained}
    figures = trial.figures(scores, prevalence_threshold(scores.pool, trial.prevalence))
    return {
        "labels": len(labels),
        "positive_share": float((labels > 0.5).mean()) if len(labels) else None,
        **figures,
        **seconds,
    }


def _labels(workshop: Workshop, dataset: str, trial: Trial, strategy: str, seed: int) -> tuple[Any, Any]:
    """Return rows of the pool and shares of positive votes: what the student of the loop's last round learnt from."""
    study = workshop.study
    student, embedding = next(iter(study.students)), next(iter(study.embeddings))
    cell = Cell(dataset, student, embedding, strategy, study.budgets[0], "", seed)
    learn = make_recipe(workshop, dataset, trial, study.students[student], seed)
    *_, last = play(workshop, cell, trial, learn)
    return rows_of(last.taught), last.taught["positive_share"].to_numpy()


def _tell(done: int, total: int) -> None:
    if done % 10 == 0 or done == total:
        typer.echo(f"step {done} of {total}", err=True)


if __name__ == "__main__":
    typer.run(main)
