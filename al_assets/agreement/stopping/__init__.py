"""When the loop ends: each rule a small object that looks at the evidence and says whether it fires, and why."""

from al_assets.agreement.stopping.conclusion import (
    NO_RULE_FIRED,
    Conclusion,
    conclude,
    conclusion_of,
    promotion,
    verdict,
)
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
from al_assets.agreement.stopping.predictions import PredictedChange, Stabilised, f_change_bound
from al_assets.agreement.stopping.rules import (
    Budget,
    GuidelineProblem,
    Parity,
    Plateau,
    Rule,
    StoppingRules,
    repeated_looks,
)

__all__ = [
    "BUDGET_SPENT",
    "CONTINUE",
    "GUIDELINE_PROBLEM",
    "NO_RULE_FIRED",
    "PARITY",
    "PLATEAU",
    "PRECEDENCE",
    "STABLE",
    "Budget",
    "Conclusion",
    "Decision",
    "Evidence",
    "GuidelineProblem",
    "Parity",
    "Plateau",
    "PredictedChange",
    "Rule",
    "Stabilised",
    "StoppingRules",
    "conclude",
    "conclusion_of",
    "f_change_bound",
    "promotion",
    "repeated_looks",
    "verdict",
]
