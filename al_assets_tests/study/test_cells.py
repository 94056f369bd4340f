from pathlib import Path

from al_assets.study.cells import cell_name, cells_of, student_figures
from al_assets.study.trial import Trial
from al_assets.study.workshop import Workshop
from al_assets_tests.support.studies import small_study


def test_a_student_that_could_not_learn_is_worth_what_chance_is(study_folder: Path, tmp_path: Path) -> None:
    trial = Trial.draw(Workshop(small_study(study_folder), tmp_path), "words", None, 0)
    figures = student_figures(trial, None)
    assert {figures[name] for name in ("kappa", "kappa_boundary", "kappa_half", "kappa_best")} == {0.0}
    assert figures["average_precision"] == trial.held_truth.mean()


def test_a_cell_is_named_by_all_that_its_figures_depend_on(study_folder: Path) -> None:
    study = small_study(study_folder)
    cells = cells_of(study)
    names = {cell: cell_name(study, cell, "digest") for cell in cells}
    assert len(set(names.values())) == len(cells) == 12
    assert all(cell_name(study, cell, "other texts") != name for cell, name in names.items())
    other = small_study(study_folder, crowd_sizes=[50, 100])
    changed = {cell.strategy for cell in cells if cell_name(other, cell, "digest") != names[cell]}
    assert changed == {"crowd"}
