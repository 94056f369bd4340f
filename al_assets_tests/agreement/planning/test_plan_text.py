from al_assets.agreement.planning.plan import PlanSettings, plan
from al_assets.agreement.planning.plan_text import plan_lines


def test_answers_come_first_then_every_assumption() -> None:
    lines = plan_lines(plan(PlanSettings(price_per_hour=75)))
    questions = ["Evaluation", "Audit", "Parity", "Plateau", "Next round", "Expected gain of the next round"]
    assert [line.split(":")[0] for line in lines[: len(questions)]] == questions
    assumptions = lines[lines.index("Assumptions:") + 1 :]
    assert "  price_per_hour = 75 (assumed)" in assumptions
    assert all(" = " in line for line in assumptions)
