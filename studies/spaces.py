"""What regions and pairs tell about LLM-0's errors in spaces that know the policy; docs/regions.md shows the figures.

PYTHONPATH=. python studies/spaces.py studies/spaces.yaml

The frozen embedding is the study's own. Encoders are those that LLM-0 taught, and the same after all labels of a loop
of the study's first student, less their heads; of language models it is the last token's state of their prompt.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.config import EmbeddingSettings, EncoderStudent, SFTStudent, StudentSettings
from al_assets.models.students import Start, train_student
from al_assets.models.students.sft import SFTLabeler
from al_assets.storage.atomic import new_directory
from al_assets.study.recipes import FineTunedRecipe, make_recipe
from al_assets.study.settings import load_study
from al_assets.study.trial import Trial
from al_assets.study.workshop import Workshop, model_location, policy_of
from studies.fine_tuned_llm import labels_of_loop
from studies.regions import Pool, fit_axis, regions, share_of_true_pairs, told

Rows = NDArray[np.float32]
BATCH = 256


def main(file: Path, folder: Annotated[Path | None, typer.Option()] = None) -> None:
    """Print for each data set and space the information of regions, and the share of drawn pairs that truly differ."""
    study = load_study(file)
    workshop = Workshop(study, folder or Path(".al/studies") / study.name)
    workshop.prepare(typer.echo)
    for dataset in study.datasets:
        trial = Trial.draw(workshop, dataset, None, study.seed)
        frozen = workshop.vectors(dataset, next(iter(study.embeddings.values())))[trial.pool].astype(np.float32)
        asked, shares = labels_of_loop(workshop, dataset, trial, next(iter(study.strategy_choices)), study.seed)
        spaces: dict[str, Rows] = {"frozen embedding": frozen}
        for name, settings in study.students.items():
            recipe = make_recipe(workshop, dataset, trial, settings, study.seed)
            if isinstance(settings, EncoderStudent) and isinstance(recipe, FineTunedRecipe) and recipe.begun:
                spaces[f"{name}, taught by LLM-0"] = _trunk(workshop, dataset, recipe.begun.directory)[trial.pool]
                taught = _taught(workshop, dataset, trial, settings, recipe.begun, asked, shares)
                spaces[f"{name}, after {len(asked)} labels"] = _trunk(workshop, dataset, taught)[trial.pool]
            elif isinstance(settings, SFTStudent):
                spaces[name] = _states(workshop, dataset, trial, name, settings)
        # Whoever learnt from an item knows whether LLM-0 is wrong there.
        unasked = np.setdiff1d(np.arange(len(trial.pool)), asked)
        for name, rows in spaces.items():
            _print(dataset, name, trial, rows, unasked)
            if name != "frozen embedding":
                half = np.concatenate([_unit(frozen), _unit(rows)], axis=1)
                _print(dataset, f"{name}, and frozen", trial, half, unasked)


def _print(dataset: str, name: str, trial: Trial, rows: Rows, unasked: NDArray[np.int64]) -> None:
    scores = trial.first.pool
    called = scores >= prevalence_threshold(scores, trial.prevalence)
    truth = np.nanmean(trial.panel.experts[: len(rows)], axis=1) > 0.5
    pool = Pool(dataset, _unit(rows), scores, truth, called).part(unasked)
    informed = [told(pool, regions(policy_share=share)(pool, 0))[2] for share in (0.0, 0.1)]
    differ, at_random = share_of_true_pairs(pool, pool.rows)
    known = np.corrcoef(fit_axis(pool), pool.truth)[0, 1]
    sys.stdout.write(
        f"{dataset}: {name:45s} information {informed[0]:6.1f}, with the policy's axis {informed[1]:6.1f}; "
        f"pairs that differ {differ:.3f}, at random {at_random:.3f}; axis and truth {known:.2f}\n"
    )
    sys.stdout.flush()


def _unit(rows: Rows) -> Rows:
    """Return vectors of length one about their mean: a fine-tuned model's lie in a narrow cone."""
    centred = rows - rows.mean(axis=0)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _taught(
    workshop: Workshop, dataset: str, trial: Trial, settings: EncoderStudent, begun: Start, asked: Any, shares: Any
) -> Path:
    """Return the directory of an encoder that learnt from labels, trained once."""
    directory = workshop.folder / "taught" / begun.fingerprint
    if not directory.exists():
        location = model_location(settings.base_model, workshop.study.base_dir)
        student: StudentSettings = settings.model_copy(update={"base_model": location})
        lessons = [workshop.texts(dataset).texts[row] for row in trial.pool[asked]]
        policy = policy_of({}, student=student)
        with new_directory(directory) as unfinished:
            train_student(student, policy, lessons, shares.tolist(), unfinished, start=begun)
    return directory


def _trunk(workshop: Workshop, dataset: str, directory: Path) -> Rows:
    """Return what an encoder makes of all texts before its head."""
    from sentence_transformers import SentenceTransformer

    trunk = workshop.folder / "trunks" / f"{directory.parent.name}-{directory.name}"
    if not trunk.exists():
        with new_directory(trunk) as unfinished:
            SentenceTransformer(modules=list(SentenceTransformer(str(directory)))[:-1]).save(str(unfinished))
    return np.asarray(workshop.vectors(dataset, EmbeddingSettings(model=str(trunk), batch_size=128)))


def _states(workshop: Workshop, dataset: str, trial: Trial, name: str, settings: SFTStudent) -> Rows:
    """Return a language model's last hidden states at the end of its prompt for each item of the pool."""
    path = workshop.folder / "states" / f"{dataset}-{name}.npy"
    if not path.exists():
        location = model_location(settings.base_model, workshop.study.base_dir)
        policy = policy_of(workshop.study.datasets[dataset].wording,
                           student=settings.model_copy(update={"base_model": location}))  # fmt: skip
        student, texts = policy.student, [workshop.texts(dataset).texts[row] for row in trial.pool]
        assert isinstance(student, SFTStudent)
        found = []
        with SFTLabeler(student, name, Path(location)) as asked:
            for start in range(0, len(texts), BATCH):
                found.append(asked.score_with_states(texts[start : start + BATCH])[1])
                typer.echo(f"{dataset}, {name}: {start} of {len(texts)} texts", err=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.concatenate(found))
    return np.asarray(np.load(path), dtype=np.float32)


if __name__ == "__main__":
    typer.run(main)
