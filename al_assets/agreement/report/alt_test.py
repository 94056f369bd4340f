"""The alternative annotator test (Calderon, Reichart and Dror 2025, arXiv 2501.10970): a second opinion on parity."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_assets.agreement.core.kappa import Floats
from al_assets.formatting import decimal

FEW_EXPERTS = 3
FEW_ITEMS = 30


@dataclass(frozen=True)
class AltExpert:
    """One expert left out and compared with the model, by agreement with the others.

    :param items: items that this expert, the model and at least one other expert labelled.
    :param model_advantage: share of them on which the model agrees with the others at least as well as this expert
        does; ``expert_advantage`` the other way round. They add up to 1 or more, as ties count for both.
    :param p_value: of the paired one-sided t-test that expert minus model advantage is below epsilon; None if it
        cannot be tested (fewer than 2 items).
    :param beaten: whether the model wins against this expert after the correction for several tests.
    """

    expert: int
    items: int
    model_advantage: float | None
    expert_advantage: float | None
    p_value: float | None
    beaten: bool


@dataclass(frozen=True)
class AltTest:
    """The test's outcome.

    :param winning_rate: share of tested experts whom the model beats; None if none could be tested.
    :param average_advantage: mean of the model's advantage over them, for comparing models.
    :param passed: winning_rate >= .5: the model may stand in for an expert; None if none could be tested.
    :param weaknesses: what makes this result weak, in words; empty if nothing does.
    """

    experts: tuple[AltExpert, ...]
    winning_rate: float | None
    average_advantage: float | None
    passed: bool | None
    weaknesses: tuple[str, ...]
    text: str


def alt_test(votes: Floats, model: Floats, *, epsilon: float = 0.2, q: float = 0.05) -> AltTest:
    """Test whether the model represents the experts as well as any one of them does.

    Leaves one expert out at a time. On each item the score of model and expert is the share of the other experts who
    agree (the paper's accuracy). Null hypothesis for an expert: its advantage is at least epsilon larger than the
    model's; rejected by a paired t-test with the Benjamini-Yekutieli correction at rate q. Items are taken to be
    independent: pair members and near-duplicates make it a little too sure.

    :param votes: shape (items, experts), 1 positive, 0 negative, NaN missing or undecided.
    :param model: shape (items,), 1, 0 or NaN.
    :param epsilon: what the model's lower price is worth, 0 to 1: .2 against experts, .15 skilled, .1 crowd.
    :raises ValueError: votes is not two-dimensional, the model labels another number of items, or epsilon or q is out
        of range.
    """
    from scipy.stats import false_discovery_control

    if votes.ndim != 2 or model.shape != votes.shape[:1]:
        raise ValueError(f"votes: shape {votes.shape}, model: {model.shape}; expected (items, experts) and (items,)")
    if not 0 <= epsilon <= 1 or not 0 < q < 1:
        raise ValueError(f"epsilon {epsilon:g}, q {q:g}; expected epsilon from 0 to 1 and q between 0 and 1")
    advantages = [_advantages(votes, model, expert) for expert in range(votes.shape[1])]
    p_values = [_p_value(expert - machine, epsilon) for machine, expert in advantages]
    tested = [place for place, value in enumerate(p_values) if value is not None]
    beaten = set()
    if tested:
        # False discovery rate q under any dependence (Benjamini and Yekutieli 2001, theorem 1.3).
        adjusted = false_discovery_control([p_values[place] for place in tested], method="by")
        beaten = {place for place, value in zip(tested, adjusted, strict=True) if value <= q}
    experts = tuple(
        AltExpert(
            place,
            len(machine),
            float(machine.mean()) if len(machine) else None,
            float(expert.mean()) if len(expert) else None,
            p_values[place],
            place in beaten,
        )
        for place, (machine, expert) in enumerate(advantages)
    )
    weaknesses = _weaknesses(experts, tested)
    if not tested:
        why = "alt-test not possible: no two experts share 2 items that the model labelled"
        return AltTest(experts, None, None, None, weaknesses, why)
    winning = len(beaten) / len(tested)
    average = float(np.mean([float(advantages[place][0].mean()) for place in tested]))
    text = (
        f"alt-test {'passed' if winning >= 0.5 else 'not passed'}: the model wins against {len(beaten)} of "
        f"{len(tested)} experts (winning rate {decimal(winning)}, average advantage probability {decimal(average)}, "
        f"epsilon {epsilon:g}, q {q:g})"
    )
    text += f"; weak: {'; '.join(weaknesses)}" if weaknesses else ""
    return AltTest(experts, winning, average, winning >= 0.5, weaknesses, text)


def _advantages(votes: Floats, model: Floats, expert: int) -> tuple[Floats, Floats]:
    own = votes[:, expert]
    others = np.delete(votes, expert, axis=1)
    usable = ~np.isnan(own) & ~np.isnan(model) & (~np.isnan(others)).any(axis=1)
    own, machine, others = own[usable], model[usable], others[usable]
    positive, negative = (others == 1).sum(axis=1), (others == 0).sum(axis=1)
    of_model = np.where(machine == 1, positive, negative)
    of_expert = np.where(own == 1, positive, negative)
    return (of_model >= of_expert).astype(np.float64), (of_expert >= of_model).astype(np.float64)


def _p_value(differences: Floats, epsilon: float) -> float | None:
    from scipy.stats import ttest_1samp

    if len(differences) < 2:
        return None
    if np.ptp(differences) == 0:
        # Every item says the same, where the t statistic is infinite on one side or the other.
        return 0.0 if differences[0] < epsilon else 1.0
    return float(ttest_1samp(differences, epsilon, alternative="less").pvalue)


def _weaknesses(experts: Sequence[AltExpert], tested: Sequence[int]) -> tuple[str, ...]:
    weaknesses = []
    if len(tested) < FEW_EXPERTS:
        weaknesses.append(f"{len(tested)} experts tested, at least {FEW_EXPERTS} are advised")
    few = [expert for expert in experts if 0 < expert.items < FEW_ITEMS]
    if few:
        fewest = min(expert.items for expert in few)
        weaknesses.append(
            f"{len(few)} experts with fewer than {FEW_ITEMS} items (fewest {fewest}), where a t-test is rough"
        )
    untested = sum(expert.p_value is None for expert in experts)
    if untested and tested:
        weaknesses.append(f"{untested} experts not tested: they share fewer than 2 items with another expert")
    return tuple(weaknesses)
