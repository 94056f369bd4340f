import pytest

from benchmarks.statistics.near_parity import NEAR_PARITY, bench_near_parity, parity_table


def test_looking_often_declares_parity_falsely_where_each_look_stands_alone() -> None:
    near = [each for each in NEAR_PARITY if each.name == "at the margin"]
    bench = bench_near_parity(replicates=40, scenarios=near, seed=3)
    found = {(each.way, each.test): each for each in bench.declared}
    assert all(each.false for each in bench.declared)
    for test in ("boundary", "pool"):
        assert found["each", test].declared > 0.15
        # Promised are .05; from 40 loops no more than .20 is likely with .10.
        assert found["alpha_spending", test].declared <= 0.20
        assert found["anytime", test].declared <= 0.20
    assert found["alpha_spending", "both"].declared <= 0.05


def test_a_stop_is_false_where_what_is_tested_is_not_at_parity() -> None:
    scenarios = [each for each in NEAR_PARITY if each.pool_shift > 0]
    bench = bench_near_parity(replicates=1, scenarios=scenarios, iterations=2)
    assert {row.test: row.false for row in bench.declared} == {"boundary": True, "pool": False, "both": True}
    assert {row.way for row in bench.declared} == {"alpha_spending", "anytime", "each"}
    assert parity_table(bench).splitlines()[2].startswith(f"| {scenarios[0].name} | ")
    with pytest.raises(ValueError, match="replicates: 0"):
        bench_near_parity(replicates=0)
