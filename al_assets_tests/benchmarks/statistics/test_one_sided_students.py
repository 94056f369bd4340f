from dataclasses import replace

from benchmarks.statistics.one_sided_students import GAINS, SETTING, missed_share, one_sided_students


def test_the_more_a_student_misses_the_less_it_gains() -> None:
    missed = [missed_share(gain) for gain in GAINS]
    assert 1 > missed[0] > missed[1] > missed[2] > 0


def test_students_are_as_good_as_they_are_said_to_be() -> None:
    small = replace(SETTING, items=2_000, rounds=2)
    said = one_sided_students(loops=3, resamples=100, seed=0, judged=(2,), setting=small)
    expert, worse, equal, better = said
    assert -0.2 < expert.gap < -0.04
    assert worse.gain < -0.1 < equal.gain < better.gain + 0.05
    assert worse.better == 0
    assert worse.parity == 0
    assert {each.round for each in said} == {2}
    assert {each.loops for each in said} == {3}
    assert all(each.parity <= min(each.boundary_parity, each.population_parity) for each in said)
