"""What a second draw before the report is worth: items stratified by where student and labeler differ.

The gain of a student over the labeler rests on the items that they call differently. The audit is drawn before the
student is there, and holds few of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from al_assets.agreement.core.kappa import Panel
from benchmarks.statistics.depleting_pools import prevalence_of, round_figures, sample_of
from benchmarks.statistics.estimates import EstimateCell, Estimates
from benchmarks.statistics.simulated_rounds import Round, RoundsSetting, simulated_rounds

GAIN, KAPPA = "student_gain", "model_expert_kappa"
SIZES = (30, 60, 90, 120)
JUDGED_SIZE = 90
SETTING = RoundsSetting(rounds=3, matched=False)


@dataclass(frozen=True)
class CheckCell:
    """What gain and kappa are worth after a round, with a second draw or without one.

    :param items: of each round's second draw.
    :param drawn: "by labels", stratified by the labels of student and labeler, or "as audit", by score and label.
    :param gain: coverage only where intervals were made.
    """

    items: int
    drawn: str
    prevalence: float
    round: int
    gain: EstimateCell
    kappa: EstimateCell


def check_draws(
    *,
    prevalences: Sequence[float],
    sizes: Sequence[int],
    loops: int,
    resamples: int,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> list[CheckCell]:
    """Run loops with second draws of several sizes, and none; one of 90 items is drawn as an audit is, too.

    Intervals are made of that size and of none, which takes most of the time.
    """
    cells = []
    for prevalence in prevalences:
        without = replace(SETTING, prevalence=prevalence)
        drawn = [replace(without, check=size) for size in (*sizes, JUDGED_SIZE)]
        drawn[-1] = replace(drawn[-1], as_audit=True)
        for setting in (without, *drawn):
            cells += _cells(setting, loops, resamples if setting.check in (0, JUDGED_SIZE) else 0, seed)
            progress(f"check of {setting.check}, prevalence {prevalence:g}")
    return cells


def _cells(setting: RoundsSetting, loops: int, resamples: int, seed: int) -> list[CheckCell]:
    rng = np.random.default_rng((seed, setting.check, int(1_000 * setting.prevalence)))
    judged = {place: Estimates() for place in (1, setting.rounds)}
    for _ in range(loops):
        for state in simulated_rounds(setting, rng, prevalence_of):
            if state.number in judged:
                _judge(judged[state.number], state, resamples, rng)
    kind = "as audit" if setting.as_audit else "by labels"
    found = {place: {cell.figure: cell for cell in each.cells(str(setting))} for place, each in judged.items()}
    return [
        CheckCell(setting.check, kind if setting.check else "none", setting.prevalence, place, each[GAIN], each[KAPPA])
        for place, each in found.items()
    ]


def _judge(found: Estimates, state: Round, resamples: int, rng: np.random.Generator) -> None:
    truth = state.truth()
    if resamples:
        figures = round_figures(state, resamples, int(rng.integers(2**32)))
        for name in (GAIN, KAPPA):
            found.add(name, truth[name], figures[name].interval(len(state.rows)))
        return
    kept = state.held_out
    models = {name: labels[state.rows][kept] for name, labels in state.models.items()}
    weights = sample_of(state, held_out=True).weights
    kappas = Panel(state.pool.asked[state.rows][kept], models).kappas(weights[None, :])
    gain = kappas[KAPPA] - kappas["incumbent_expert_kappa"]
    for name, value in ((GAIN, gain), (KAPPA, kappas[KAPPA])):
        found.add_estimate(name, truth[name], float(value[0]))
