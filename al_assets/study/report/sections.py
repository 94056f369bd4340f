"""The report of a study, the answer first: functions from its summary to headings, tables and pictures."""

from collections.abc import Collection, Iterable

from al_assets.study.report.answers import default_sentence, setting_answer
from al_assets.study.report.document import Bullets, Paragraph, Part
from al_assets.study.report.section_checks import default_and_controls, probes, scopes_and_time
from al_assets.study.report.section_curves import curves, random_arm
from al_assets.study.report.section_savings import label_quality, savings
from al_assets.study.report.summary import StudySummary
from al_assets.study.report.wording import seeds_of, setting_title, whole


def answer(summary: StudySummary) -> list[Part]:
    """Return the answer first: of the default strategy in every setting."""
    settings = summary.settings
    parts = [Part("The answer", [Paragraph(f"{default_sentence(summary)} {_scope(summary)}")])]
    for setting in settings:
        parts.append(Part(setting_title(setting, settings), [Bullets(setting_answer(summary, setting))], 3))
    return parts


def _scope(summary: StudySummary) -> str:
    settings = summary.settings
    if not settings:
        return "No strategy was run with the base settings."
    titles = ("Data", "Students", "Embeddings")
    names = [sorted({str(getattr(each, name)) for each in settings}) for name in ("dataset", "student", "embedding")]
    budgets = sorted({each.budget for each in settings if each.budget is not None})
    texts = [f"{title}: {', '.join(found)}." for title, found in zip(titles, names, strict=True)]
    texts += [f"Labels a round: {', '.join(map(whole, budgets))}."] if budgets else []
    strategies = f"Strategies: {', '.join(summary.strategies)}."
    return " ".join([*texts, strategies, "Brackets hold 95 % intervals over seeds."])


def method(summary: StudySummary) -> list[Part]:
    """Return how the figures were computed, and what they cannot say."""
    seeds = sorted(set(summary.curves["seeds"].to_list()))
    counted = seeds_of(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds, by figure"
    texts = [
        f"Every figure is a mean over seeds ({counted}). A seed has a pool, held-out items, a panel and a student of "
        "its own, which all strategies of that seed share; so all differences are paired by seed.",
        "Intervals are 95 %: Student's t over seeds for means and differences; for labels needed, crowd equivalents, "
        f"factors and limits a percentile bootstrap over seeds ({summary.resamples:,} resamples, seed {summary.seed}) "
        "with tails widened for few seeds (Hesterberg 2015). No bootstrap goes beyond what its seeds showed: for a "
        "mean of 3, 5 and 10 seeds such an interval covers .76, .92 and .93. One seed has no interval; two have none "
        "by bootstrap.",
        "Whole curve: the area between the curves divided by the range of labels (trapezoid rule). Holm's correction "
        "is over everything held against random with one data set and student.",
        "Crowd equivalents: the crowd's mean kappa is made non-decreasing in the number of labels (isotonic "
        "regression) and is linear in its logarithm between the sizes; beyond the sizes that were run only a bound is "
        "given. A crowd label is one vote; an expert label is several, hence both ratios.",
        "Population: held-out items drawn at random. Boundary items: those of them that LLM-0's boundary pairs pick, "
        "the same for every strategy of a seed.",
    ]
    return [Part("How the figures were computed", [Bullets(texts)])]


def all_parts(summary: StudySummary, pictures: Collection[str]) -> Iterable[Part]:
    """Yield the whole report but for how the study was run.

    :param pictures: the names of those there are.
    """
    yield from answer(summary)
    yield from curves(summary, pictures)
    yield from random_arm(summary, pictures)
    yield from savings(summary, pictures)
    yield from default_and_controls(summary)
    yield from label_quality(summary, pictures)
    yield from probes(summary)
    yield from scopes_and_time(summary, pictures)
    yield from method(summary)
