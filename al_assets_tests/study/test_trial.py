from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from al_assets.curation.geometry.duplicates import near_duplicates
from al_assets.study.learner import Scores
from al_assets.study.trial import Trial, best_kappa, model_kappa
from al_assets.study.workshop import Workshop
from al_assets_tests.support.studies import small_study


@pytest.fixture(scope="module")
def workshop(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(small_study(study_folder), tmp_path_factory.mktemp("workshop"))


def test_held_out_items_and_their_copies_are_never_in_the_pool(
    study_folder: Path, tmp_path: Path, workshop: Workshop
) -> None:
    lines = (study_folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    # Every text once more, under another name and in capitals.
    copies = [line.replace('{"id": "', '{"id": "copy-') for line in lines]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join([*lines, *copies]) + "\n", encoding="utf-8")
    datasets = workshop.study.model_dump(exclude={"base_dir"})["datasets"]
    datasets["words"] |= {"path": str(path)}
    again = Workshop(small_study(study_folder, datasets=datasets), tmp_path)
    trial = Trial.draw(again, "words", None, 0)
    assert not set(trial.pool.tolist()) & set(trial.held_out.tolist())
    texts = again.texts("words").texts
    drawn = [texts[row] for row in [*trial.pool, *trial.held_out]]
    assert (near_duplicates(drawn) == np.arange(len(drawn))).all()
    assert len(again.texts("words")) <= len(lines)


def test_a_seed_is_drawn_alike_and_another_seed_otherwise(workshop: Workshop) -> None:
    once, again, other = (Trial.draw(workshop, "words", None, seed) for seed in (0, 0, 1))
    assert (once.pool == again.pool).all()
    assert np.array_equal(once.panel.experts, again.panel.experts, equal_nan=True)
    assert (once.boundary == again.boundary).all()
    assert not (once.pool == other.pool).all()


def test_noisier_experts_label_but_do_not_judge(workshop: Workshop) -> None:
    settings = workshop.study.datasets["words"].panel
    base = Trial.draw(workshop, "words", None, 0)
    noisy = Trial.draw(workshop, "words", settings.model_copy(update={"expert_kappa": 0.3}), 0)
    assert np.array_equal(base.judged, noisy.judged, equal_nan=True)
    assert (base.boundary == noisy.boundary).all()
    assert base.human_kappas() == noisy.human_kappas()
    assert not np.array_equal(base.labelling.experts, noisy.labelling.experts, equal_nan=True)


def test_boundary_items_hold_more_of_both_sides_than_the_held_out(workshop: Workshop) -> None:
    trial = Trial.draw(workshop, "words", None, 0)
    assert len(trial.boundary) == 60 == len(set(trial.boundary.tolist()))
    assert trial.held_truth[trial.boundary].mean() > trial.held_truth.mean() + 0.05


def test_kappa_is_the_mean_over_experts_of_what_scikit_learn_says(workshop: Workshop) -> None:
    trial = Trial.draw(workshop, "words", None, 0)
    figures = trial.figures(trial.first, 0.6)
    called = trial.first.held_out >= 0.6
    for name, places in (("kappa", np.arange(len(called))), ("kappa_boundary", trial.boundary)):
        expected = np.mean([cohen_kappa_score(called[places], vote[places] == 1) for vote in trial.judged.T])
        assert figures[name] == pytest.approx(expected)
    best = [model_kappa(trial.first.held_out >= cut, trial.judged) for cut in np.unique(trial.first.held_out)]
    assert figures["kappa_best"] == pytest.approx(np.nanmax(best))
    perfect = Scores(trial.first.pool, trial.held_truth.astype(float))
    assert trial.figures(perfect, 0.5)["average_precision"] == 1


def test_an_unanswered_item_is_left_out_and_a_single_class_has_no_kappa() -> None:
    votes = np.array([[1.0, np.nan], [0.0, 0.0], [1.0, np.nan], [0.0, 0.0]])
    called = np.array([True, False, True, False])
    # The second rater only ever says no: undefined, and left out of the mean.
    assert model_kappa(called, votes) == 1
    assert np.isnan(model_kappa(called[1::2], votes[1::2]))
    assert best_kappa(np.array([0.9, 0.1, 0.8, 0.2]), votes) == 1


def test_what_the_pool_leaves_the_crowd_alone_learns_from(workshop: Workshop) -> None:
    trial = Trial.draw(workshop, "words", None, 0)
    assert len(trial.pool) == 400
    rows = [*trial.pool, *trial.spare, *trial.held_out]
    assert sorted(rows) == list(range(len(workshop.texts("words"))))
    assert len(trial.crowd) == len(trial.lessons) == 400 + len(trial.spare)
    assert len(trial.judged) == len(trial.held_out) == 200
