"""A plan as plain lines, for a terminal or a page."""

from al_assets.agreement.planning.plan import AuditPlan, Plan


def plan_lines(found: Plan) -> list[str]:
    """Return a plan as plain lines: answers first, then what they rest on."""
    evaluation, audit, work = found.evaluation, found.audit, found.next_round
    now = "no interval yet" if evaluation.half_width_now is None else f"now ±{evaluation.half_width_now:.3f}"
    lines = [
        f"Evaluation: {evaluation.items} items ({evaluation.votes} votes) give expert-expert kappa to "
        f"±{evaluation.half_width:g}; {evaluation.labelled} are labelled ({now}), {evaluation.further} more take about "
        f"{evaluation.rounds} rounds.",
        f"Audit: prevalence to ±{audit.half_width:.3f} takes {audit.simple_random} items drawn simply at random"
        + _stratified_words(audit)
        + f"; {audit.labelled} are labelled.",
        f"Parity: {found.parity.text}.",
        f"Plateau: {found.panel.text}.",
        f"Next round: {work.items} items, {work.votes} votes, {work.hours:.1f} hours of experts' time "
        f"({work.hours_per_rater:.1f} each), cost {work.cost:.0f}.",
        f"Expected gain of the next round: {found.gain.text}.",
        *_price_of_gain(found),
        "Assumptions:",
    ]
    return [*lines, *(f"  {each.name} = {each.value:g} ({each.source})" for each in found.assumptions)]


def _stratified_words(audit: AuditPlan) -> str:
    if audit.stratified is None:
        return " (stratified by the model's label: not known before an audit is labelled)"
    called, others = audit.stratified
    return f", or {called + others} stratified by the model's label ({called} called positive, {others} negative)"


def _price_of_gain(found: Plan) -> list[str]:
    gain = found.gain.gain
    if gain is None or found.gain.low is None or found.gain.low <= 0:
        return [] if gain is None else ["Price of a gain: not known, as the next round may gain nothing."]
    return [f"Price of +0.01 kappa at that rate: about {found.next_round.cost * 0.01 / gain:.0f}."]
