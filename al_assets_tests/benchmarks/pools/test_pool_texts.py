import numpy as np
import pytest

from al_assets.curation.checks import CurationError
from al_assets.curation.geometry.duplicates import near_duplicates
from benchmarks.pools.pool_texts import LONGEST, SHORTEST, make_texts, planted_texts


@pytest.mark.parametrize("share", [0.0, 0.05, 0.6])
def test_folding_finds_exactly_the_planted_copies(share: float) -> None:
    planted = planted_texts(4_000, seed=1, duplicate_share=share)
    assert np.array_equal(near_duplicates(planted.texts), planted.group)
    assert (planted.group != np.arange(4_000)).sum() == 4_000 * share


def test_a_group_is_named_after_its_first_text() -> None:
    group = planted_texts(2_000, seed=2, duplicate_share=0.3).group
    assert (group <= np.arange(2_000)).all()
    assert np.array_equal(group[group], group)


def test_the_texts_are_as_long_as_short_remarks_and_depend_on_the_seed_alone() -> None:
    texts = make_texts(3_000, seed=5)
    assert {SHORTEST, LONGEST} <= {len(text) for text in texts}
    assert all(SHORTEST <= len(text) <= LONGEST + 2 for text in texts)
    assert texts == make_texts(3_000, seed=5) == planted_texts(3_000, seed=5).texts
    assert texts != make_texts(3_000, seed=6)


def test_words_follow_zipf() -> None:
    words = " ".join(make_texts(5_000, duplicate_share=0)).split()
    _, counts = np.unique(words, return_counts=True)
    most = np.sort(counts)[::-1]
    assert most[0] / most[9] == pytest.approx(10, rel=0.2)


@pytest.mark.parametrize("items", [0, 1, 2])
def test_tiny_pools(items: int) -> None:
    assert len(make_texts(items, duplicate_share=1)) == items


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(CurationError, match=r"duplicate_share: 1.5 is not a share"):
        make_texts(10, duplicate_share=1.5)
