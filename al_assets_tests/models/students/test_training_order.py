from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.models.students.training_order import training_order


def order_of(labels: Sequence[float], lengths: list[int] | None = None, **changes: float) -> np.ndarray:
    values = {"epochs": 1.0, "batch_size": 4, "minority_share": 0.4, "seed": 0, **changes}
    return training_order(
        labels, lengths or [1] * len(labels), epochs=values["epochs"], batch_size=int(values["batch_size"]),
        minority_share=values["minority_share"], seed=int(values["seed"]),
    )  # fmt: skip


def test_classes_that_are_balanced_by_themselves_are_left_alone() -> None:
    order = order_of([index < 35 for index in range(60)], epochs=2)
    assert set(Counter(order.ravel().tolist()).values()) == {2}


@pytest.mark.parametrize("positives", [6, 12, 54])
def test_the_rarer_kind_is_repeated_up_to_its_share(positives: int) -> None:
    labels = [index < positives for index in range(60)]
    order = order_of(labels, epochs=10).ravel()
    rarer = positives < 30
    assert np.mean([labels[index] is rarer for index in order]) == pytest.approx(0.4, abs=0.01)
    assert set(order) == set(range(60))
    times = Counter(order.tolist())
    common = {times[index] for index in range(60) if labels[index] is not rarer}
    rare = {times[index] for index in range(60) if labels[index] is rarer}
    # The last batch may need a few of an eleventh epoch; and of the rarer kind none is repeated much more than another.
    assert common <= {10, 11}
    assert max(rare) - min(rare) <= 0.3 * max(rare)


def test_ties_are_there_once_an_epoch_and_take_no_side() -> None:
    labels = [*[1.0] * 6, *[0.0] * 54, *[0.5] * 20]
    times = Counter(order_of(labels, epochs=10, batch_size=1).ravel().tolist())
    assert {times[index] for index in range(60, 80)} == {10}
    unanimous = Counter(order_of(labels[:60], epochs=10, batch_size=1).ravel().tolist())
    assert sum(times[index] for index in range(6)) == sum(unanimous[index] for index in range(6))


def test_batches_hold_texts_of_like_length() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 100, 400).tolist()
    labels = [index % 5 < 2 for index in range(400)]
    order = order_of(labels, lengths, batch_size=16)
    tokens = np.asarray(lengths)[order]
    padded = tokens.max(axis=1).sum() * 16
    assert padded / tokens.sum() < 1.15
    assert np.asarray(lengths)[rng.permutation(400)].reshape(25, 16).max(axis=1).sum() * 16 / tokens.sum() > 1.6
    # In random order: a student must not see all the short texts first.
    assert abs(np.corrcoef(np.arange(len(order)), tokens.mean(axis=1))[0, 1]) < 0.5


def test_the_seed_and_nothing_else_decides() -> None:
    labels = [index % 3 == 0 for index in range(50)]
    assert np.array_equal(order_of(labels, epochs=3), order_of(labels, epochs=3))
    assert not np.array_equal(order_of(labels, epochs=3), order_of(labels, epochs=3, seed=1))


def test_epochs_may_be_fractional_but_a_batch_is_always_there() -> None:
    labels = [index < 40 for index in range(100)]
    assert order_of(labels, epochs=2.5, batch_size=10).shape == (25, 10)
    assert order_of([True, False], epochs=0.01, batch_size=16).shape == (1, 16)


@settings(max_examples=60)
@given(
    labels=st.lists(st.booleans(), min_size=2, max_size=80).filter(lambda labels: len(set(labels)) == 2),
    share=st.floats(0.05, 0.5),
    epochs=st.floats(0.1, 5),
    batch_size=st.integers(1, 20),
)
def test_any_two_classes_give_whole_batches_of_both(
    labels: list[bool], share: float, epochs: float, batch_size: int
) -> None:
    order = order_of(labels, minority_share=share, epochs=epochs, batch_size=batch_size)
    assert order.shape[1] == batch_size
    assert order.min() >= 0
    assert order.max() < len(labels)
