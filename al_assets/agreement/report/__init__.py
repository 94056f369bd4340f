"""From votes and scores to the report of an iteration: ``agreement_report`` is the front door.

report = agreement_report(votes, scores, settings=ReportSettings(expected_prevalence=0.05))
print(report.conclusion.verdict, report.figure("model_expert_kappa"))
"""

from al_assets.agreement.report.iteration_report import AgreementReport, ReportSettings, agreement_report

__all__ = ["AgreementReport", "ReportSettings", "agreement_report"]
