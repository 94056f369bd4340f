from dataclasses import replace

import numpy as np
import pytest

from benchmarks.pools.pool_model import (
    BOUNDARY,
    DIFFICULTIES,
    NEGATIVE,
    POSITIVE,
    Standing,
    Topics,
    chances,
    draw_standing,
    draw_topics,
    draw_vectors,
    matching_shift,
)

_REAL = DIFFICULTIES["real"]


@pytest.fixture(scope="module")
def topics() -> Topics:
    return draw_topics(replace(_REAL, pure=0.3), 120, 48, 0.05, seed=1)


@pytest.fixture(scope="module")
def standing(topics: Topics) -> Standing:
    return draw_standing(topics, 60_000, np.random.default_rng(0))


def test_kinds_of_topics_have_their_shares(topics: Topics) -> None:
    assert (topics.kind == BOUNDARY).mean() == pytest.approx(_REAL.boundary_topics, abs=0.01)
    assert 0 < topics.share[topics.kind == POSITIVE].sum() <= 0.3 * 0.05
    assert topics.share.sum() == pytest.approx(1)


def test_topics_are_drawn_by_size_which_falls_by_zipfs_law(topics: Topics, standing: Standing) -> None:
    found = np.bincount(standing.topic, minlength=len(topics)) / len(standing.topic)
    assert found[0] / found[31] == pytest.approx(32**0.8, rel=0.3)
    assert found == pytest.approx(topics.share, abs=0.01)


def test_the_shift_matches_the_prevalence_and_strays_are_as_many_as_asked(topics: Topics, standing: Standing) -> None:
    found = chances(topics, standing, matching_shift(topics, standing, 0.05))
    assert found.mean() == pytest.approx(0.05, abs=1e-6)
    stray = found[topics.kind[standing.topic] == NEGATIVE].sum() / found.sum()
    assert stray == pytest.approx(_REAL.stray, rel=0.1)


def test_chances_rise_along_the_direction_that_decides(topics: Topics, standing: Standing) -> None:
    flat = replace(topics, difficulty=replace(_REAL, curvature=0.0))
    found = chances(flat, draw_standing(flat, 20_000, np.random.default_rng(1)), 0.0)
    drawn = draw_standing(flat, 20_000, np.random.default_rng(1))
    topic = np.flatnonzero(topics.kind == BOUNDARY)[0]
    members = np.flatnonzero(drawn.topic == topic)
    order = members[np.argsort(drawn.within[members, 0])]
    assert (np.diff(found[order]) >= 0).all()
    assert found[order[-1]] - found[order[0]] > 0.3


def test_standing_and_hidden_part_have_the_distributions_they_are_said_to_have(standing: Standing) -> None:
    assert standing.within.std(axis=0) == pytest.approx(np.ones(_REAL.directions), abs=0.03)
    assert standing.within.mean(axis=0) == pytest.approx(np.zeros(_REAL.directions), abs=0.05)
    assert standing.hidden.std() == pytest.approx(np.pi / np.sqrt(3), rel=0.03)
    assert np.quantile(standing.hidden, 0.75) == pytest.approx(np.log(3), abs=0.05)


def test_the_labelers_errors_are_alike_within_a_topic(topics: Topics) -> None:
    shares = {}
    for alike in (0.0, 0.5, 1.0):
        model = replace(topics, difficulty=replace(_REAL, alike=alike))
        drawn = draw_standing(model, 60_000, np.random.default_rng(2))
        means = np.bincount(drawn.topic, weights=drawn.error) / np.bincount(drawn.topic)
        shares[alike] = np.var(means[drawn.topic]) / np.var(drawn.error)
    assert shares[0.0] < 0.01
    assert 0.1 < shares[0.5] < 0.4
    assert 0.3 < shares[1.0] < 0.7


def test_the_nearer_to_its_story_the_likelier_an_item_has_its_label(standing: Standing) -> None:
    first: dict[int, int] = {}
    near: list[bool] = []
    far: list[bool] = []
    for item in np.argsort(-standing.close)[:40_000].tolist():
        other = first.setdefault(int(standing.story[item]), item)
        if other != item:
            equal = bool(standing.hidden[item] == standing.hidden[other])
            (near if standing.close[item] > 0.5 else far).append(equal)
    assert np.mean(near) > 0.4 > np.mean(far)


def test_vectors_of_a_story_and_of_a_topic_are_nearer_than_others(topics: Topics) -> None:
    drawn = draw_standing(topics, 1_500, np.random.default_rng(3))
    rows = draw_vectors(topics, drawn, np.random.default_rng(4))
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(1_500), abs=1e-5)
    cosines = rows @ rows.T
    others = ~np.eye(1_500, dtype=np.bool_)
    story = (drawn.story[:, None] == drawn.story) & others
    topic = (drawn.topic[:, None] == drawn.topic) & others & ~story
    elsewhere = drawn.topic[:, None] != drawn.topic
    assert cosines[story].mean() > cosines[topic].mean() + 0.05
    assert cosines[topic].mean() > cosines[elsewhere].mean() + 0.05
