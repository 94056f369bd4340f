from collections.abc import Callable

import numpy as np
import pytest

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.report.alt_test import alt_test
from al_assets.agreement.report.scopes import measured_scope
from al_assets.agreement.report.second_opinion import second_opinion
from al_assets_tests.support.simulated_loop import World


def test_rows_hold_what_the_tests_say_of_the_evaluation_items(world: Callable[..., World]) -> None:
    frames = world(skill=40.0, items=600, prevalence=0.25)
    items = labelled_items(frames.votes, frames.split, frames.scores)
    items = items.where(items.evaluation)
    student = (items.p_student >= 0.5).astype(np.float64)
    scope = measured_scope("evaluation", items, student, resamples=300, seed=0)
    rows = {row.figure: row for row in second_opinion(items.votes, student, scope.interval("parity_difference", 0.9))}
    expected = alt_test(items.votes, student)
    assert rows["alt_test_winning_rate"].estimate == expected.winning_rate == 1
    assert rows["alt_test_advantage"].estimate == expected.average_advantage
    assert rows["alt_test_advantage"].detail == expected.text
    assert rows["ceiling_further_labels"].estimate == 0
    assert "on a par with the experts" in str(rows["ceiling_further_labels"].detail)
    assert {row.scope for row in rows.values()} == {"evaluation"}


def test_what_is_undecided_or_not_measured_is_said() -> None:
    votes = np.column_stack([np.tile([0.0, 1.0], 20), np.full(40, np.nan)])
    undecided = second_opinion(votes, np.ones(40), Interval(0.0, -0.1, 0.1, 200))
    assert undecided[0].estimate == pytest.approx(600)
    assert [row.estimate for row in undecided[1:]] == [None, None]
    unknown = second_opinion(votes, np.ones(40), Interval(None, None, None, 0, "no item has two decisive votes"))
    assert (unknown[0].estimate, unknown[0].detail) == (None, "not measured: no item has two decisive votes")
