from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.config import Policy, SFTStudent
from al_assets.models.students import crossfit, load_student, train_student
from al_assets.models.students.crossfit import (
    Scale,
    TooFewGroups,
    assign_folds,
    out_of_fold_scores,
    rescaled,
    with_folds,
)
from al_assets.models.students.record import Progress, one_sided, student_fingerprint
from al_assets.storage.root import RunRoot, text_hash
from al_assets_tests.models.students.conftest import PROMPT

Lesson = tuple[list[str], list[bool]]


def folds_of(lesson: Lesson, folds: int = 3) -> NDArray[np.int64]:
    return assign_folds([str(place // 2) for place in range(len(lesson[0]))], lesson[1], folds, 0)


@settings(max_examples=60)
@given(
    items=st.lists(st.tuples(st.integers(0, 14), st.sampled_from([0, 1 / 3, 0.5, 1])), min_size=12, max_size=60),
    folds=st.integers(2, 5),
    seed=st.integers(0, 3),
)
def test_groups_stay_whole_and_every_student_learns_from_both_labels(
    items: list[tuple[int, float]], folds: int, seed: int
) -> None:
    groups, labels = [str(group) for group, _ in items], [label for _, label in items]
    try:
        found = assign_folds(groups, labels, folds, seed)
    except TooFewGroups:
        mixed = [len({group for group, label in items if sign * label > sign / 2}) for sign in (1, -1)]
        assert len(set(groups)) < folds or min(mixed) < 2
        return
    assert set(found.tolist()) == set(range(folds))
    assert all(len({fold for fold, each in zip(found, groups, strict=True) if each == group}) == 1 for group in groups)
    for fold in range(folds):
        assert not one_sided(list(compress(labels, found != fold)))


def test_folds_depend_on_names_and_seed_alone_and_are_alike() -> None:
    groups, labels = [f"g{place // 2}" for place in range(200)], [place % 5 == 0 for place in range(200)]
    found = assign_folds(groups, labels, 5, 0)
    assert np.array_equal(assign_folds(groups[::-1], labels[::-1], 5, 0)[::-1], found)
    assert not np.array_equal(assign_folds(groups, labels, 5, 1), found)
    assert np.bincount(found).tolist() == [40] * 5
    assert np.bincount(found[np.array(labels)]).tolist() == [8] * 5


@pytest.mark.parametrize(
    ("groups", "labels", "folds", "said"),
    [
        (["a", "b", "c"], [True, False, True], 4, "4 folds of 3 groups"),
        (["a", "b", "c"], [True, False, False], 2, "1 of them with positive and 2 with negative"),
        (["a", "a", "a"], [True, False, False], 2, "2 folds of 1 groups"),
        (["a", "b", "c"], [True, False, True], 1, "1 folds of 3 groups"),
        ([], [], 5, "0 groups.*set calibration.folds to 0"),
    ],
)
def test_too_few_groups_are_refused(groups: list[str], labels: list[bool], folds: int, said: str) -> None:
    with pytest.raises(TooFewGroups, match=said):
        assign_folds(groups, labels, folds, 0)


@pytest.mark.slow
def test_each_text_is_scored_by_a_student_that_did_not_see_its_fold(
    policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    texts, labels = lesson
    fold_of, seen = folds_of(lesson), list[str]()

    def watch(what: str) -> Progress:
        return lambda done, total: seen.append(f"{what}: {done} of {total}")

    root = RunRoot(str(tmp_path / "root"))
    scores = out_of_fold_scores(policy, root, texts, labels, fold_of, watch=watch)
    for fold in range(3):
        others, inside = fold_of != fold, fold_of == fold
        train_student(
            policy.student, policy, list(compress(texts, others)), list(compress(labels, others)), tmp_path / str(fold)
        )
        with load_student(tmp_path / str(fold), policy.student, policy) as student:
            assert np.array_equal(student.score(list(compress(texts, inside))), scores[inside])
    assert seen[:2] == ["fold 1 of 3, training step: 0 of 1", "fold 1 of 3, training step: 1 of 1"]
    assert "fold 3 of 3, scored: 8 of 8" in seen
    assert not list((tmp_path / "root" / "folds").iterdir())


def test_nobody_learns_from_a_text_without_a_label_and_scores_are_put_on_the_students_scale(
    policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    texts, labels = lesson
    fold_of, root = folds_of(lesson), RunRoot(str(tmp_path / "root"))
    plain = out_of_fold_scores(policy, root, texts, labels, fold_of)
    # A text that teaches nobody is judged like the others of its fold, and changes none of them.
    more = out_of_fold_scores(
        policy, root, [*texts, "something else"], [*labels, np.nan], np.append(fold_of, fold_of[0])
    )
    assert np.array_equal(more[:-1], plain)
    assert 0 < more[-1] < 1
    sample = [f"a remark of number {number}" for number in range(50)]
    wanted = np.linspace(0.8, 0.9, 50)
    found = out_of_fold_scores(policy, root, texts, labels, fold_of, scale=Scale(sample, wanted))
    for fold in range(3):
        inside = fold_of == fold
        assert np.array_equal(np.argsort(found[inside]), np.argsort(plain[inside]))


def test_a_rescaled_score_has_as_much_of_the_sample_below_it() -> None:
    generator = np.random.default_rng(0)
    sample, wanted = generator.random(200) ** 3, generator.random(200)
    scores = generator.random(500)
    found = rescaled(scores, sample, wanted)
    below = (sample[None, :] < scores[:, None]).sum(axis=1)
    assert np.array_equal((wanted[None, :] < found[:, None]).sum(axis=1), below)
    assert rescaled(np.array([0.0, 1.0]), sample, wanted).tolist() == [0.0, 1.0]
    assert rescaled(scores, sample, sample) == pytest.approx(scores)


def test_partners_share_a_fold_though_one_of_them_teaches_nobody() -> None:
    rows = {
        "item_id": [f"i{row}" for row in range(12)],
        "group_id": [f"g{row // 2}" for row in range(12)],
        "teaches": [row != 3 and row < 10 for row in range(12)],
        "positive_share": [None if row == 3 else float(row // 2 % 2) for row in range(12)],
    }
    found = with_folds(pl.DataFrame(rows), 2, 0)
    assert found["item_id"].to_list() == rows["item_id"]
    assert (found.group_by("group_id").agg(pl.col("fold").n_unique())["fold"] == 1).all()
    assert found["fold"].null_count() == 2
    assert found["fold"][3] == found["fold"][2]


def test_a_stopped_run_repeats_at_most_one_fold(
    policy: Policy, lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold_of, whole = folds_of(lesson), RunRoot(str(tmp_path / "whole"))
    expected = out_of_fold_scores(policy, whole, *lesson, fold_of)
    trained: list[int] = []
    train = train_student

    def stops_at(number: int) -> Any:
        def training(*arguments: Any, **named: Any) -> object:
            if len(trained) == number:
                raise KeyboardInterrupt
            trained.append(len(trained))
            return train(*arguments, **named)

        return training

    root = RunRoot(str(tmp_path / "stopped"))
    monkeypatch.setattr(crossfit, "train_student", stops_at(2))
    with pytest.raises(KeyboardInterrupt):
        out_of_fold_scores(policy, root, *lesson, fold_of)
    assert not list((tmp_path / "stopped" / "folds").iterdir())
    monkeypatch.setattr(crossfit, "train_student", stops_at(9))
    assert np.array_equal(out_of_fold_scores(policy, root, *lesson, fold_of), expected)
    assert len(trained) == 3
    assert np.array_equal(out_of_fold_scores(policy, root, *lesson, fold_of), expected)
    assert len(trained) == 3


def test_a_student_trained_before_the_stop_scores_without_training_again(
    policy: Policy, lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold_of, root = folds_of(lesson, 2), RunRoot(str(tmp_path / "root"))
    others = fold_of != 0
    taught = list(compress(lesson[0], others)), list(compress(lesson[1], others))
    name = student_fingerprint(policy.student, *taught)
    train_student(policy.student, policy, *taught, root.local_path(f"folds/{name}"), fingerprint=name)
    trained: list[Sequence[str]] = []
    train = train_student

    def counted(settings: Any, policy: Any, texts: Sequence[str], *arguments: Any, **named: Any) -> object:
        trained.append(texts)
        return train(settings, policy, texts, *arguments, **named)

    monkeypatch.setattr(crossfit, "train_student", counted)
    out_of_fold_scores(policy, root, *lesson, fold_of)
    assert len(trained) == 1
    assert set(trained[0]) == set(compress(lesson[0], fold_of == 0))
    held_out = [text_hash(text) for text in compress(lesson[0], fold_of == 0)]
    assert root.scores(name).known(held_out) == set(held_out)


@pytest.mark.slow
def test_a_language_model_is_cross_fitted_too(policy: Policy, lesson: Lesson, tiny_model: Path, tmp_path: Path) -> None:
    values = {"epochs": 20, "learning_rate": 5e-3, "batch_size": 8, "prompt": PROMPT}
    settings = SFTStudent.model_validate({"kind": "sft", "base_model": str(tiny_model), **values})
    sft = policy.model_copy(update={"student": settings})
    root, fold_of = RunRoot(str(tmp_path / "root")), folds_of(lesson, 2)
    scores = out_of_fold_scores(sft, root, *lesson, fold_of)
    truth = np.array(lesson[1])
    assert scores[truth].min() > scores[~truth].max()
    assert not list((tmp_path / "root" / "folds").iterdir())
    assert np.array_equal(out_of_fold_scores(sft, root, *lesson, fold_of), scores)
