"""Report rows beside the parity rule: the further labels that would decide it, and the alternative annotator test."""

from al_assets.agreement.core.bootstrap import Interval
from al_assets.agreement.core.kappa import Floats
from al_assets.agreement.report.alt_test import alt_test
from al_assets.agreement.report.scopes import Figure
from al_assets.agreement.stopping.ceiling import judge_ceiling


def second_opinion(
    votes: Floats, student: Floats, difference: Interval, *, margin: float = 0.05, epsilon: float = 0.2
) -> list[Figure]:
    """Return the figures ceiling_further_labels, alt_test_winning_rate and alt_test_advantage of scope evaluation.

    :param votes: shape (items, experts), the evaluation items' votes.
    :param student: shape (items,), the student's labels, 1 or 0.
    :param difference: the scope's parity_difference as a 90 % interval, which the parity rule judges too.
    """
    ceiling = judge_ceiling(difference, margin)
    further = None if ceiling.further_labels is None else float(ceiling.further_labels)
    opinion = alt_test(votes, student, epsilon=epsilon)
    items = max((expert.items for expert in opinion.experts), default=0)
    return [
        Figure("ceiling_further_labels", "evaluation", further, items=difference.items, detail=ceiling.text),
        Figure("alt_test_winning_rate", "evaluation", opinion.winning_rate, items=items, detail=opinion.text),
        Figure("alt_test_advantage", "evaluation", opinion.average_advantage, items=items, detail=opinion.text),
    ]
