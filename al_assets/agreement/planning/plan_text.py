"""A plan in words."""

from al_assets.agreement.planning.plan import AuditPlan, LabelPlan
from al_assets.formatting import decimal


def plan_lines(answers: LabelPlan) -> list[str]:
    """Return a plan as plain lines: answers first, then what they rest on."""
    evaluation, audit, work = answers.evaluation, answers.audit, answers.next_round
    now = "no interval yet" if evaluation.half_width_now is None else f"now ±{decimal(evaluation.half_width_now, 3)}"
    check = f" ({work.check_items} of them check items)" if work.check_items else ""
    lines = [
        f"Evaluation: {evaluation.items} items ({evaluation.votes} votes) give expert-expert kappa to "
        f"±{evaluation.half_width:g}; {evaluation.labelled} are labelled ({now}), {evaluation.further} more take about "
        f"{evaluation.rounds} rounds.",
        f"Audit: prevalence to ±{decimal(audit.half_width, 3)} takes {audit.simple_random} items drawn simply at random"
        + _stratified_words(audit)
        + f"; {audit.labelled} are labelled.",
        f"Parity: {answers.parity.text}.",
        f"Plateau: {answers.panel.text}.",
        f"Next round: {work.items} items{check}, {work.votes} votes, {decimal(work.hours, 1)} hours of experts' time "
        f"({decimal(work.hours_per_rater, 1)} each), cost {work.cost:.0f}.",
        f"Expected gain of the next round: {answers.gain.text}.",
        *_price_of_gain(answers),
        "Assumptions:",
    ]
    return [
        *lines,
        *(f"  {assumption.name} = {assumption.value:g} ({assumption.source})" for assumption in answers.assumptions),
    ]


def _stratified_words(audit: AuditPlan) -> str:
    if audit.stratified is None:
        return " (stratified by the model's label: not known before an audit is labelled)"
    called, others = audit.stratified
    return f", or {called + others} stratified by the model's label ({called} called positive, {others} negative)"


def _price_of_gain(answers: LabelPlan) -> list[str]:
    gain = answers.gain.gain
    if gain is None or answers.gain.low is None or answers.gain.low <= 0:
        return [] if gain is None else ["Price of a gain: not known, as the next round may gain nothing."]
    return [f"Price of +0.01 kappa at that rate: about {answers.next_round.cost * 0.01 / gain:.0f}."]
