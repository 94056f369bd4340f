"""A labelling function from a word list: the demo's weak LLM-0, which needs no model at all."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def strongly_negative(text: str) -> float:
    """Return how negative a text's words are, 0 (not at all) to 1, by the VADER lexicon and its rules.

    Half of one minus the compound score of Hutto & Gilbert 2014; a text without a word of the list scores 0.5.
    """
    compound: float = _analyzer().polarity_scores(text)["compound"]
    return (1 - compound) / 2


@cache
def _analyzer() -> "SentimentIntensityAnalyzer":
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
    except ModuleNotFoundError:
        raise ValueError(
            "labeler.functions: al_assets.demo.lexicon needs the package vaderSentiment; install al_assets[demo]"
        ) from None
    return SentimentIntensityAnalyzer()
