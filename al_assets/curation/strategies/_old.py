"""The former rule of the cold start, until the assets use ``curation.cold_start``."""

from al_assets.curation.checks import check_at_least, check_share

# Pairs never get less than half: top-scored items alone were best on some seeds and worst on others (facts.md).
_MOST_PROMISING = 0.5
_PRIOR_LABELS = 20
_NEAR_TARGET = 0.8


def promising_share(positive_share_of_labels: float | None, target: float, labelled: int) -> float:
    """Return the part of the boundary budget that goes to top-scored items instead of pairs, 0 to .5.

    While the labeler is weak, boundary pairs hold few positives. With s the positive share of the labels that boundary
    and promising items got (not audit or control items: theirs is the pool's), and n their number:

        evidence = s n / (n + 20)        # before the first label nothing speaks for the labeler
        share    = .5 max(0, 1 - evidence / (.8 target))

    So it starts at .5, falls as positives are found, and is 0 once their share is near the target.

    :param positive_share_of_labels: 0 to 1; None if nothing is labelled yet.
    :param target: the wanted positive share, 0 to 1.
    :raises CurationError: a value is out of range.
    """
    check_share("target", target)
    check_at_least("labelled", labelled, 0)
    if positive_share_of_labels is None:
        positive_share_of_labels = 0.0
    check_share("positive_share_of_labels", positive_share_of_labels)
    if target == 0:
        return 0.0
    evidence = positive_share_of_labels * labelled / (labelled + _PRIOR_LABELS)
    return _MOST_PROMISING * max(0.0, 1 - evidence / (_NEAR_TARGET * target))
