import numpy as np
import pytest

from al_assets.agreement.core.kappa import Floats, pooled_model_kappa
from al_assets.agreement.report.panel_gain import differing_items, gain_distribution


def _panel(items: int, changed: list[tuple[int, float]]) -> tuple[Floats, Floats, Floats]:
    """Return two experts who agree, and two students who differ on the given items: vote, later student's label."""
    truth = np.tile([1.0, 0.0, 0.0, 0.0], items)[:items]
    now, earlier = truth.copy(), truth.copy()
    for place, (vote, label) in enumerate(changed):
        at = np.flatnonzero(truth == vote)[place]
        now[at], earlier[at] = label, 1 - label
    return np.column_stack([truth, truth]), now, earlier


def test_the_gain_is_the_paired_difference_of_the_kappas() -> None:
    votes, now, earlier = _panel(60, [(1, 1.0), (0, 0.0), (1, 0.0)])
    found = gain_distribution(votes, now, earlier, np.arange(60), resamples=500)
    assert found.estimate == pytest.approx(pooled_model_kappa(now, votes) - pooled_model_kappa(earlier, votes))
    assert found.groups == 60


def test_a_panel_on_which_every_change_was_for_the_worse_does_not_rule_out_a_gain() -> None:
    # Two worse labels among 57 items: resamples alone would bound the gain at 0, whatever the level.
    votes, now, earlier = _panel(57, [(1, 0.0), (0, 1.0)])
    found = gain_distribution(votes, now, earlier, np.arange(57), resamples=4_000).interval(57, 0.98)
    assert found.estimate is not None
    assert found.high is not None
    assert found.estimate < 0
    assert found.high > 0.03


def test_pseudo_items_weigh_little_where_many_items_changed() -> None:
    changes = [(vote, label) for vote in (1, 0) for label in (1.0, 0.0)] * 15
    votes, now, earlier = _panel(600, changes)
    found = gain_distribution(votes, now, earlier, np.arange(600), resamples=4_000)
    assert np.nanmean(found.replicates) == pytest.approx(found.estimate, abs=0.01)


def test_every_pair_of_raters_has_an_item_for_each_way_to_differ() -> None:
    votes, now = differing_items(3)
    assert votes.shape == (12, 3)
    assert (np.isnan(votes).sum(axis=1) == 1).all()
    assert (np.nanmin(votes, axis=1) == np.nanmax(votes, axis=1)).all()
    assert now.mean() == 0.5
    assert differing_items(1)[0].shape == (0, 1)
