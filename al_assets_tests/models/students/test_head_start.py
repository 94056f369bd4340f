from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from al_assets.agreement.population.thresholds import prevalence_threshold
from al_assets.config import EmbeddingSettings, EncoderStudent, HeadStart, LinearHeadStart, LinearStudent
from al_assets.config import StudentSettings as Student
from al_assets.models.students import StudentError
from al_assets.models.students.head_start import LLM0Scale, Start, head_start_recipe, head_start_sample


def linear(items: int = 100) -> LinearStudent:
    embedding = EmbeddingSettings(model="m")
    return LinearStudent(kind="linear", embedding=embedding, with_llm0=True, head_start=LinearHeadStart(items=items))


def encoder(items: int = 100, share: float = 0.4) -> EncoderStudent:
    head_start = HeadStart(items=items, positive_share=share, epochs=3)
    return EncoderStudent(kind="encoder", base_model="m", epochs=9, head_start=head_start)


def pool(positive: int, negative: int, name: str = "i") -> pl.DataFrame:
    """Items of which LLM-0, at .5, calls some positive."""
    scores = np.concatenate([np.linspace(0.6, 0.99, positive), np.linspace(0.01, 0.4, negative)])
    ids = [f"{name}{row}" for row in range(len(scores))]
    return pl.DataFrame({"item_id": ids, "text": [f"text of {each}" for each in ids], "p_positive": scores})


@pytest.mark.parametrize(
    ("positive", "negative", "drawn"),
    [(300, 700, (40, 60)), (20, 980, (20, 80)), (970, 30, (70, 30)), (25, 35, (25, 35)), (60, 40, (60, 40))],
)
def test_a_fine_tuned_student_sees_the_share_of_positives_it_asks_for_as_far_as_there_are(
    positive: int, negative: int, drawn: tuple[int, int]
) -> None:
    sample = head_start_sample(pool(positive, negative), encoder(), 0.5, 0)
    assert (int((sample.labels > 0.5).sum()), int((sample.labels < 0.5).sum())) == drawn
    assert sample.texts == tuple(f"text of {item}" for item in sample.item_ids)


def test_a_linear_student_sees_the_pool_as_it_is() -> None:
    sample = head_start_sample(pool(300, 700), linear(), 0.5, 0)
    assert len(sample.labels) == 100
    assert 15 < (sample.labels > 0.5).sum() < 45
    whole = head_start_sample(pool(30, 40), linear(), 0.5, 0)
    assert set(whole.item_ids) == set(pool(30, 40)["item_id"])


@pytest.mark.parametrize("student", [linear(), encoder()])
@pytest.mark.parametrize("before", [(300, 700), (10, 200), (200, 10)])
def test_a_pool_that_grows_brings_its_own_items_alone_into_the_sample(
    student: Student, before: tuple[int, int]
) -> None:
    old, new = pool(*before), pool(50, 50, "new")
    first = set(head_start_sample(old, student, 0.5, 0).item_ids)
    second = set(head_start_sample(pl.concat([new, old]), student, 0.5, 0).item_ids)
    assert {item for item in second if not item.startswith("new")} < first
    assert set(head_start_sample(old, student, 0.5, 1).item_ids) != first


@pytest.mark.parametrize("student", [linear(), encoder()])
def test_the_order_of_the_pool_changes_nothing(student: Student) -> None:
    one, two = (head_start_sample(each, student, 0.5, 0) for each in (pool(300, 700), pool(300, 700).reverse()))
    assert (one.item_ids, one.texts, one.scale) == (two.item_ids, two.texts, two.scale)
    assert np.array_equal(one.labels, two.labels)


def test_items_that_llm0_gave_no_score_are_left_out_and_counted() -> None:
    scored = pool(30, 40).with_columns(
        p_positive=pl.when(pl.int_range(pl.len()) < 7).then(None).otherwise("p_positive")
    )
    scored[3, "p_positive"] = float("nan")
    sample = head_start_sample(scored, linear(), 0.5, 0)
    assert (len(sample.item_ids), sample.left_out) == (63, 7)
    assert set(sample.item_ids).isdisjoint(scored["item_id"][:7])
    assert not np.isnan(sample.labels).any()
    nothing = scored.with_columns(p_positive=pl.lit(None, pl.Float64))
    with pytest.raises(StudentError, match="student.head_start: LLM-0 scored no item of the pool; .* set it to none"):
        head_start_sample(nothing, linear(), 0.5, 0)


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    squeezed=st.sampled_from([1.0, 1e-3, 1e-7]),
    prevalence=st.floats(0, 1),
)
def test_soft_labels_are_above_a_half_exactly_where_llm0_says_positive(
    scores: list[float], squeezed: float, prevalence: float
) -> None:
    # A language model that is asked for yes or no may be nearly sure of every text.
    for p_positive in (np.array(scores) * squeezed, 1 - np.array(scores) * squeezed):
        threshold = prevalence_threshold(p_positive, prevalence)
        labels = LLM0Scale.of(p_positive, threshold).soft_labels(p_positive)
        assert np.array_equal(labels > 0.5, p_positive >= threshold)
        assert ((labels >= 0) & (labels <= 1)).all()
        order = np.argsort(p_positive, kind="stable")
        assert (np.diff(labels[order]) >= 0).all()


def test_what_llm0_is_less_sure_of_is_taught_softer() -> None:
    p_positive = np.array([0.05, 0.2, 0.29, 0.31, 0.5, 0.9])
    labels = LLM0Scale.of(p_positive, 0.3).soft_labels(p_positive)
    assert (labels[0], labels[-1]) == pytest.approx((0, 1), abs=0.02)
    assert labels[2:4] == pytest.approx(0.5, abs=0.05)


def test_the_scale_survives_the_disk_and_says_so_if_not(tmp_path: Path) -> None:
    scale = LLM0Scale.of(np.array([0.1, 0.7, 0.9]), 0.3)
    scale.write(tmp_path)
    assert LLM0Scale.read(tmp_path) == scale
    for damage in ("{", "[]", '{"middle": 1}'):
        (tmp_path / "llm0.json").write_text(damage)
        with pytest.raises(StudentError, match="llm0.json: cannot be read .* train the head start again"):
            LLM0Scale.read(tmp_path)


def test_a_start_asks_llm0_on_its_scale_or_says_that_it_cannot(tmp_path: Path) -> None:
    scale = LLM0Scale.of(np.array([0.1, 0.7, 0.9]), 0.3)
    scale.write(tmp_path)
    asked: list[str] = []

    def ask(texts: object) -> NDArray[np.float64]:
        assert isinstance(texts, list)
        asked.extend(texts)
        return np.array([0.3, 0.9])

    assert Start("name", tmp_path, ask).log_odds(["a", "b"]).tolist() == scale.log_odds(np.array([0.3, 0.9])).tolist()
    assert asked == ["a", "b"]
    with pytest.raises(StudentError, match="student.with_llm0: LLM-0 cannot be asked here; set it to false"):
        Start("name", tmp_path).log_odds(["a"])


def test_a_head_start_is_trained_from_nothing_by_what_concerns_it_alone() -> None:
    recipe = head_start_recipe(encoder())
    assert isinstance(recipe, EncoderStudent)
    assert (recipe.head_start, recipe.epochs) == ("none", 3)
    assert head_start_recipe(encoder().model_copy(update={"epochs": 1})).fingerprint() == recipe.fingerprint()
    assert head_start_recipe(encoder().model_copy(update={"seed": 1})).fingerprint() != recipe.fingerprint()
    alone = head_start_recipe(linear())
    assert isinstance(alone, LinearStudent)
    assert (alone.head_start, alone.with_llm0) == ("none", False)
    strong = linear().model_copy(update={"head_start": LinearHeadStart(items=100, strength=7)})
    assert head_start_recipe(strong).fingerprint() == alone.fingerprint()
