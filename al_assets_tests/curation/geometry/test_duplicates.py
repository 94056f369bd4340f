import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_assets.curation.geometry.duplicates import SHINGLE, near_duplicates


def brute_force(texts: list[str], similarity: float) -> list[int]:
    normal = [" ".join(text.casefold().split()) for text in texts]
    sets = [{text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1)} for text in normal]
    group = list(range(len(texts)))
    for one in range(len(texts)):
        for other in range(one):
            alike = normal[one] == normal[other]
            if sets[one] and sets[other]:
                alike |= len(sets[one] & sets[other]) / len(sets[one] | sets[other]) >= similarity
            if alike:
                low, high = sorted((group[one], group[other]))
                group = [low if each == high else each for each in group]
    return group


def test_copies_point_to_the_first() -> None:
    texts = ["Buy cheap watches now", "Good morning to you all", "buy  CHEAP watches\nnow", "Buy cheap watches now!"]
    assert near_duplicates(texts).tolist() == [0, 1, 0, 0]


def test_different_texts_stand_alone() -> None:
    texts = ["the weather is fine today", "my train was late again", "this phone broke in a week"]
    assert near_duplicates(texts, 0.5).tolist() == [0, 1, 2]


def test_short_texts_compare_by_equality() -> None:
    assert near_duplicates(["ok", "OK ", "oki", "no", "", "  ", "good", "goods"]).tolist() == [0, 0, 2, 3, 4, 4, 6, 7]


def test_groups_are_transitive() -> None:
    base = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"
    chain = [base[shift : shift + 30] for shift in range(5)]
    # Neighbours share 25 of 27 shingles, the ends only 22 of 30.
    assert near_duplicates(chain, 0.9).tolist() == [0] * 5
    assert near_duplicates([chain[0], chain[4]], 0.9).tolist() == [0, 1]


def test_threshold_itself_counts() -> None:
    # 9 shingles each, 8 in common, 10 in all.
    texts = ["abcdefghijklm", "bcdefghijklmn"]
    assert near_duplicates(texts, 0.8).tolist() == [0, 0]
    assert near_duplicates(texts, 0.81).tolist() == [0, 1]


def test_nothing_and_one() -> None:
    assert near_duplicates([]).tolist() == []
    assert near_duplicates([]).dtype == np.int64
    assert near_duplicates(["a single text"]).tolist() == [0]


@pytest.mark.parametrize("similarity", [0, -0.1, 1.1, float("nan")])
def test_similarity_out_of_range(similarity: float) -> None:
    with pytest.raises(ValueError, match="similarity: .* expected above 0, at most 1"):
        near_duplicates(["a"], similarity)


def test_lone_surrogates_and_other_scripts() -> None:
    texts = ["\ud800 broken text", "\ud800 broken text", "これは日本語の文章です", "これは日本語の文章です。"]
    assert near_duplicates(texts).tolist() == [0, 0, 2, 2]


words = st.lists(st.sampled_from(["red", "green", "blue", "house", "boat", "x", "Über"]), max_size=8).map(" ".join)


@given(st.lists(words, max_size=25), st.sampled_from([0.5, 0.8, 1.0]))
@settings(max_examples=60)
def test_agrees_with_all_pairs(texts: list[str], similarity: float) -> None:
    found, wanted = near_duplicates(texts, similarity).tolist(), brute_force(texts, similarity)
    # MinHash may miss a pair at the very threshold, but joins nothing that should be apart.
    assert all(wanted[item] == wanted[group] for item, group in enumerate(found))
    assert all(found[group] == group <= item for item, group in enumerate(found))
    missed = len(set(found)) - len(set(wanted))
    assert missed <= 1


def test_finds_nearly_all_close_pairs() -> None:
    rng = np.random.default_rng(0)
    originals = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz "), 100)) for _ in range(400)]
    copies = [text[:60] + "#" + text[61:] for text in originals]
    groups = near_duplicates(originals + copies, 0.8)
    # One changed character in a hundred: 91 of 101 shingles in common.
    assert (groups[400:] == np.arange(400)).mean() > 0.995


@pytest.mark.parametrize("texts", [10_000])
def test_boilerplate_does_not_blow_up(texts: int) -> None:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 10**12, texts)
    started = time.process_time()
    groups = near_duplicates([f"Your order {number} has left our warehouse" for number in numbers], 0.8)
    assert time.process_time() - started < 40
    assert len(np.unique(groups)) > 1


def test_same_seed_same_groups() -> None:
    texts = [f"item number {number} of the list" for number in range(200)]
    assert near_duplicates(texts, 0.7, seed=3).tolist() == near_duplicates(texts, 0.7, seed=3).tolist()
