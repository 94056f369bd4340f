"""When the loop ends: each rule a small object that looks at the evidence and says whether it fires, and why."""

from al_assets.agreement.stopping.evidence import (
    BUDGET_SPENT,
    CONTINUE,
    GUIDELINE_PROBLEM,
    PARITY,
    PLATEAU,
    PRECEDENCE,
    STABLE,
    Decision,
    Evidence,
)
from al_assets.agreement.stopping.predictions import PredictedChange, Stabilised, f_change_bound, predicted_f_change
from al_assets.agreement.stopping.rules import Budget, GuidelineProblem, Parity, Plateau, Rule, repeated_looks
from al_assets.agreement.stopping.verdict import StoppingRules, promotion, verdict

__all__ = [
    "BUDGET_SPENT",
    "CONTINUE",
    "GUIDELINE_PROBLEM",
    "PARITY",
    "PLATEAU",
    "PRECEDENCE",
    "STABLE",
    "Budget",
    "Decision",
    "Evidence",
    "GuidelineProblem",
    "Parity",
    "Plateau",
    "PredictedChange",
    "Rule",
    "Stabilised",
    "StoppingRules",
    "f_change_bound",
    "predicted_f_change",
    "promotion",
    "repeated_looks",
    "verdict",
]
