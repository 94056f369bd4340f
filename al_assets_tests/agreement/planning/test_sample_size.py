from collections.abc import Callable
from math import sqrt

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from al_assets.agreement.core.kappa import Panel
from al_assets.agreement.planning.sample_size import (
    Stratum,
    audit_items,
    figure_deviation,
    kappa_items,
    parity_items,
    stratified_audit_items,
)


@pytest.mark.parametrize(
    ("half_width", "items"), [(0.10, 150), (0.08, 250), (0.056, 500), (0.04, 1_000), (0.028, 2_000)]
)
def test_items_for_a_half_width_are_those_of_the_simulated_table(half_width: float, items: int) -> None:
    # statistics.md 4: half-width of the 95 % interval near kappa .78, 40 % positive. It gives widths to two digits.
    assert kappa_items(half_width, prevalence=0.4, expert_kappa=0.78) == pytest.approx(items, rel=0.06)


@pytest.mark.parametrize(("prevalence", "kappa"), [(0.4, 0.78), (0.1, 0.5), (0.05, 0.3), (0.7, 0.9)])
def test_the_deviation_of_two_raters_is_fleiss_cohen_and_everitts(prevalence: float, kappa: float) -> None:
    agree = kappa * prevalence * (1 - prevalence)
    table = np.array(
        [[prevalence**2 + agree, prevalence * (1 - prevalence) - agree], [0.0, (1 - prevalence) ** 2 + agree]]
    )
    table[1, 0] = table[0, 1]
    expected = sqrt(cohens_kappa(table * 1e6).var_kappa * 1e6)
    found = figure_deviation("expert_expert_kappa", prevalence=prevalence, expert_kappa=kappa)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("figure", "experts"), [("expert_expert_kappa", 3), ("model_expert_kappa", 2), ("parity_difference", 3)]
)
def test_deviations_equal_those_of_simulated_raters(figure: str, experts: int) -> None:
    prevalence, expert_kappa, model_kappa, items, samples = 0.3, 0.7, 0.5, 2_000, 1_500
    generator = np.random.default_rng(0)
    skill = [sqrt(expert_kappa)] * experts + [model_kappa / sqrt(expert_kappa)]
    found = []
    for _ in range(samples):
        truth = generator.random(items) < prevalence
        chance = [prevalence + (truth - prevalence) * each for each in skill]
        answers = np.stack([(generator.random(items) < each).astype(np.float64) for each in chance], axis=1)
        figures = Panel(answers[:, :experts], {"model": answers[:, experts]}).figures(np.ones((1, items)))
        figures["parity_difference"] = figures["model_expert_kappa"] - figures["expert_expert_kappa"]
        found.append(figures[figure][0])
    deviation = figure_deviation(
        figure, prevalence=prevalence, expert_kappa=expert_kappa, model_kappa=model_kappa, experts=experts
    )
    # The standard error of a standard deviation is 1 / sqrt(2 samples), here 1.8 %.
    assert np.std(found) * sqrt(items) == pytest.approx(deviation, rel=0.075)


def test_more_experts_make_kappa_surer_and_clusters_less_sure() -> None:
    sizes = [kappa_items(0.08, prevalence=0.3, expert_kappa=0.7, experts=experts) for experts in (2, 3, 5)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    clustered = kappa_items(0.08, prevalence=0.3, expert_kappa=0.7, design_effect=1.5)
    assert clustered == pytest.approx(1.5 * sizes[0], abs=2)


def test_parity_takes_more_items_the_nearer_the_margin() -> None:
    def items(model_kappa: float) -> int | None:
        return parity_items(prevalence=0.4, expert_kappa=0.78, model_kappa=model_kappa, margin=0.05)

    near, far, above = items(0.70), items(0.50), items(0.80)
    assert near is not None
    assert far is not None
    assert above is not None
    assert near > 1_000 > above > far
    assert items(0.73) is None


def test_a_simple_random_audit_has_the_textbook_size() -> None:
    # Cochran: 1.96^2 * .5 * .5 / .05^2 = 384.1, and 277.7 for a pool of 1,000 (fpc); 20 % of a prevalence of 10 %
    # takes some 96 positives (1.96 / .2)^2 (1 - p).
    assert audit_items(0.5, 0.05) == 385
    assert audit_items(0.5, 0.05, pool=1_000) == 278
    assert audit_items(0.1, 0.02) * 0.1 == pytest.approx(86.5, abs=0.2)


def test_a_stratified_audit_has_the_wanted_precision_with_fewer_items() -> None:
    strata = [Stratum(0.1, 0.6), Stratum(0.3, 0.05), Stratum(0.6, 0.005)]
    prevalence = sum(stratum.share * stratum.positive_share for stratum in strata)
    sizes = stratified_audit_items(strata, 0.015, floor=1)
    variance = sum(
        stratum.share**2 * stratum.positive_share * (1 - stratum.positive_share) / size
        for stratum, size in zip(strata, sizes, strict=True)
    )
    assert 1.96 * sqrt(variance) == pytest.approx(0.015, rel=0.01)
    assert sum(sizes) < audit_items(prevalence, 0.015)
    assert min(stratified_audit_items([Stratum(0.5, 0.0), Stratum(0.5, 0.5)], 0.2)) == 20
    # One stratum of everything is a simple random sample.
    assert stratified_audit_items([Stratum(1.0, 0.2)], 0.03) == (audit_items(0.2, 0.03),)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: kappa_items(0.0, prevalence=0.4, expert_kappa=0.7), "half_width: 0;"),
        (lambda: kappa_items(0.1, prevalence=1.0, expert_kappa=0.7), "prevalence: 1;"),
        (lambda: kappa_items(0.1, prevalence=0.4, expert_kappa=0.7, experts=1), "experts: 1;"),
        (lambda: figure_deviation("parity_difference", prevalence=0.4, expert_kappa=0.7), "model_kappa: None"),
        (lambda: figure_deviation("x", prevalence=0.4, expert_kappa=0.7, model_kappa=0.5), "figure: 'x'"),
        (lambda: parity_items(prevalence=0.4, expert_kappa=0.64, model_kappa=0.8, margin=0.05), "below 0.800"),
        (lambda: stratified_audit_items([Stratum(0.5, 0.1)], 0.02), "shares add up to 0.5"),
        (lambda: audit_items(0.1, 0.0), "half_width: 0;"),
    ],
)
def test_impossible_wishes_are_refused_by_name(call: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
