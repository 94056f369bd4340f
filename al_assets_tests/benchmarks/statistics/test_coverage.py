import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.agreement.core.bootstrap import grouped_distributions
from al_assets.agreement.core.kappa import Floats, Panel
from al_assets.agreement.report.scopes import parity_distribution
from al_assets_tests.support.votes import panel
from benchmarks.statistics.audit_coverage import audit_coverage, simulated_pool, true_figures
from benchmarks.statistics.coverage import FULL, QUICK, bench_coverage, half_widths, summarise
from benchmarks.statistics.kappa_coverage import (
    CoverageCell,
    Setting,
    kappa_coverage,
    pattern_chances,
    pattern_distributions,
    share_held,
)

CELL = CoverageCell("expert_expert_kappa", 150, "items", 0.1, 0.6, 0.95, 0.007, 0.02, 0.03, 1, 0.2, 0.94, 0.94, "BCa")


@pytest.mark.parametrize("prevalence", [0.05, 0.4])
def test_the_simulated_kappa_is_the_product_of_the_reliabilities(prevalence: float) -> None:
    patterns, chances = pattern_chances(prevalence, (0.9, 0.7, 0.8))
    found = panel(patterns[:, 1:], {"model": patterns[:, 0]}, chances)
    assert chances.sum() == pytest.approx(1)
    assert chances @ patterns == pytest.approx(np.full(3, prevalence))
    assert found["expert_expert_kappa"] == pytest.approx(0.7 * 0.8)
    assert found["model_expert_kappa"] == pytest.approx(0.9 * (0.7 + 0.8) / 2)


def _as_items(counts: NDArray[np.int64], kinds: Floats, patterns: Floats) -> tuple[Floats, NDArray[np.int64]]:
    rows: list[list[float]] = []
    groups: list[int] = []
    for kind, count in zip(kinds, counts, strict=True):
        for _ in range(int(count)):
            group = 0 if not groups else groups[-1] + 1
            members = np.repeat(np.arange(len(patterns)), kind.astype(int))
            rows += patterns[members].tolist()
            groups += [group] * len(members)
    return np.array(rows), np.array(groups)


@pytest.mark.parametrize("pairs", [False, True])
def test_counted_patterns_give_the_distributions_of_their_items(pairs: bool) -> None:
    patterns, chances = pattern_chances(0.3, (0.8, 0.8, 0.8))
    generator = np.random.default_rng(0)
    single = np.eye(8)
    kinds = single if not pairs else (single[:, None] + single[None, :]).reshape(64, 8)
    counts = generator.multinomial(80, chances if not pairs else np.outer(chances, chances).ravel())
    seen = counts > 0
    agreement = Panel(patterns[:, 1:], {"model": patterns[:, 0]})
    fast = pattern_distributions(agreement, counts[seen], kinds[seen], 4_000, generator)
    rows, groups = _as_items(counts[seen], kinds[seen], patterns)
    votes, model = rows[:, 1:], rows[:, 0]
    slow = grouped_distributions(Panel(votes, {"model": model}).figures, groups, resamples=4_000)
    for figure in ("expert_expert_kappa", "model_expert_kappa"):
        assert fast[figure].estimate == pytest.approx(slow[figure].estimate)
        assert np.sort(fast[figure].jackknife) == pytest.approx(np.sort(slow[figure].jackknife))
        assert fast[figure].replicates.std() == pytest.approx(slow[figure].replicates.std(), rel=0.06)
    paired = parity_distribution(votes, model, groups, resamples=4_000)
    assert fast["parity_difference"].estimate == pytest.approx(paired.estimate)
    for level in (0.05, 0.95):
        expected = np.quantile(paired.replicates, level)
        assert np.quantile(fast["parity_difference"].replicates, level) == pytest.approx(expected, abs=0.015)


def test_actual_coverage_is_near_the_nominal_one_and_known_to_its_error() -> None:
    experts, model, difference = kappa_coverage(Setting(250, 0.3, 0.6), samples=400, resamples=400, seed=1)
    for cell in (experts, model, difference):
        assert cell.coverage is not None
        assert cell.error is not None
        assert cell.coverage == pytest.approx(0.95, abs=3.5 * cell.error)
        assert cell.above is not None
        assert cell.below is not None
        assert cell.coverage + cell.above + cell.below == pytest.approx(1)
    assert experts.percentile_coverage is not None
    assert difference.percentile_coverage is None
    assert (experts.method, difference.method) == ("BCa", "percentile, 2 pseudo-items")


def test_the_table_of_half_widths_for_planning() -> None:
    # statistics.md, 4: kappa .78, 40 % positive.
    published = {150: 0.10, 250: 0.08, 500: 0.056, 1_000: 0.04, 2_000: 0.028}
    found = {each.n: each.half_width for each in half_widths(replace(FULL, samples=150, resamples=600), seed=0)}
    assert found == pytest.approx(published, rel=0.06)


def test_intervals_not_given_count_neither_way() -> None:
    low, high = np.array([0.1, 0.3, np.nan]), np.array([0.4, 0.5, np.nan])
    assert share_held(low, high, 0.2) == 0.5
    assert share_held(low[2:], high[2:], 0.2) is None
    rare = kappa_coverage(Setting(20, 0.05, 0.8), samples=20, resamples=100, seed=0)[0]
    assert rare.given < 0.5


def test_the_target_counts_cells_from_150_items_on_and_names_the_others() -> None:
    cells = tuple(replace(CELL, n=n, coverage=coverage) for n, coverage in ((50, 0.8), (150, 0.9), (500, 0.95)))
    found = summarise(cells + (replace(CELL, n=250, coverage=None),))
    assert (found.accepted, found.judged, found.reached) == (1, 3, False)
    assert found.outside[0].startswith("expert_expert_kappa, n 150 in items, prevalence 0.1, kappa 0.6: 0.900 +- 0.007")
    # Each says positive on 15 of 150; both on 150 * .1 * (.1 + .9 * .6) = 9.6.
    assert found.outside[0].endswith("both say positive on 9.6 items and differ on 10.8")
    assert found.outside[1].endswith("no interval")
    assert summarise((CELL,) * 9 + (replace(CELL, coverage=0.9),)).reached


def test_the_truth_of_a_pool_is_that_of_all_its_votes() -> None:
    pool = simulated_pool(20_000, 0.1, seed=0)
    model = pool.labels[1].astype(np.float64)
    found = true_figures(pool, 2)
    expected = panel(pool.votes, {"model": model})
    share = pool.votes.mean(axis=1)
    assert found["model_expert_kappa"] == pytest.approx(expected["model_expert_kappa"])
    assert found["expert_expert_kappa"] == pytest.approx(expected["expert_expert_kappa"])
    assert found["expert_expert_kappa"] == pytest.approx(0.8, abs=0.02)
    assert found["model_precision"] == pytest.approx(share[model == 1].mean())
    assert found["model_recall"] == pytest.approx(share[model == 1].sum() / share.sum())
    assert [labels.mean() for labels in pool.labels] == pytest.approx([pool.votes.mean()] * 3, abs=0.01)


def test_audits_of_a_large_pool_are_unbiased_and_cover() -> None:
    from sklearn.metrics import roc_auc_score

    pool = simulated_pool(400_000, 0.1, seed=1)
    sure = pool.votes[:, 0] == pool.votes[:, 1]
    assert roc_auc_score(pool.votes[sure, 0], pool.scores[0][sure]) == pytest.approx(0.84, abs=0.02)
    cells = {cell.figure: cell for cell in audit_coverage(pool, items=100, rounds=2, audits=80, resamples=200, seed=0)}
    prevalence = cells["prevalence"]
    assert abs(prevalence.bias) < 3.5 * prevalence.bias_error
    assert prevalence.bias_error < 0.003
    for figure in ("prevalence", "model_precision", "model_recall", "model_expert_kappa"):
        assert cells[figure].coverage is not None
        assert 0.85 <= (cells[figure].coverage or 0) <= 1
        assert cells[figure].given == 1


def test_the_benchmark_is_repeatable_and_fits_into_json() -> None:
    lines: list[str] = []
    loops = replace(QUICK.loops, pools=(), pool_loops=1, student_loops=1, check_loops=2, rater_samples=3, resamples=80)
    small = replace(QUICK, samples=8, audits=4, resamples=80, pool=5_000, loops=loops)
    found = bench_coverage(small, progress=lines.append)
    assert json.dumps(asdict(found)) == json.dumps(asdict(bench_coverage(small)))
    shown = json.loads(json.dumps(asdict(found), allow_nan=False))
    assert {"n", "prevalence", "kappa", "coverage", "method"} <= set(shown["cells"][0])
    assert {"bias", "coverage"} <= set(shown["audit"])
    assert {cell["groups"] for cell in shown["cells"]} == {"items", "pairs"}
    assert len(shown["cells"]) == 2 * len(small.settings()) == 2 * len(shown["differences"])
    assert len(lines) > len(small.settings()) + 2


@pytest.mark.slow
def test_the_grid_reaches_the_target_and_the_audit_is_unbiased() -> None:
    # Half of the grid and fewer resamples, for time; as many samples, as 500 would put sound cells outside.
    size = replace(
        FULL,
        items=(250, 500),
        resamples=400,
        half_width_items=(150,),
        audit_rounds=((100, 1),),
        audits=100,
        loops=QUICK.loops,
    )
    found = bench_coverage(size)
    assert found.summary.judged == 80
    assert found.summary.reached
    assert abs(found.audit.bias) < 3.5 * found.audit.bias_error
    assert found.audit.coverage == pytest.approx(0.95, abs=0.02)
