"""What each figure of a report is, in a sentence and a formula: one registry for the page and for ``al explain``."""

from al_assets.agreement.stopping.rules import PRECEDENCE
from al_assets.report.agreement_descriptions import AGREEMENT, CELLS, Description

SCOPES = {
    "evaluation": "all labelled items that models are measured on, however they were chosen, but for check items; each "
    "by a student that did not learn from it",
    "boundary": "evaluation items queued because they lie where the two labels meet (pairs and promising items)",
    "control": "evaluation items drawn uniformly from the pool",
    "panel": "the evaluation items of iteration 0000, which stay the same in every iteration",
    "audit": "the whole pool: random items with known chances, each weighted to the pool items it stands for; items "
    "chosen by rule count for themselves",
    "pool": "the stop set, a uniform random sample of the pool that is scored whether labelled or not",
    "loop": "the loop as a whole: every labelled item, for agreement among the experts",
}
_ENDING = tuple(name.replace(" ", "_") for name in PRECEDENCE)


def _called(who: str) -> dict[str, Description]:
    return {
        "precision": Description(
            f"precision of the {who}",
            f"Of the items the {who} calls positive, the share that is positive to the experts; votes that differ "
            "count as their share of positives.",
            "sum(w * called * positive share of the votes) / sum(w * called)",
        ),
        "recall": Description(
            f"recall of the {who}",
            f"Of the items that are positive to the experts, the share the {who} calls positive.",
            "sum(w * called * positive share of the votes) / sum(w * positive share of the votes)",
        ),
        "positive_share": Description(
            f"share called positive by the {who}",
            f"The share of the items that the {who} calls positive.",
            "sum(w * called) / sum(w)",
        ),
        "average_precision": Description(
            f"average precision of the {who}",
            f"How well the {who}'s score ranks positives before negatives, whatever the threshold; as good as chance "
            "is the share of positives.",
            "sum over thresholds of (recall gained) * precision, on items with one or more decisive votes",
        ),
    }


def _rule(title: str, sentence: str, rests_on: tuple[tuple[str, str], ...]) -> Description:
    return Description(f"stopping rule: {title}", f"1 if it fires, 0 if not. {sentence}", "see the rule", rests_on)


FIGURES = {
    **AGREEMENT,
    "parity_difference": Description(
        "distance to the experts",
        "How much worse (below 0) the student agrees with the experts than they do with each other, on the same items. "
        "0 is parity.",
        "student-expert kappa - expert-expert kappa, both from the same resamples",
        (("model_expert_kappa", ""), ("expert_expert_kappa", "")),
    ),
    "student_gain": Description(
        "gain of the student over the incumbent",
        "How much better the new student agrees with the experts than the incumbent that labelled the pool, on the "
        "same items.",
        "student-expert kappa - incumbent-expert kappa, both from the same resamples",
        (("model_expert_kappa", ""), ("incumbent_expert_kappa", "")),
    ),
    "gain_over_recommended": Description(
        "gain of the student over the model recommended so far",
        "How much better the new student agrees with the experts, in the whole pool, than the model that was to be "
        "taken so far. The student takes its place if the whole interval lies above 0.",
        "student-expert kappa - the same of the model recommended so far, both from the same resamples",
    ),
    "panel_gain": Description(
        "gain on the panel",
        "How much kappa rose on the panel since the student of some iterations ago, on items that stayed the same.",
        "student-expert kappa - the same of the earlier student, on panel items that both labelled",
    ),
    "prevalence": Description(
        "prevalence",
        "The share of the whole pool that is positive to the experts (Hajek mean of the audit).",
        "sum(w * positive share of the votes) / sum(w)",
    ),
    **_called("student"),
    **{f"incumbent_{name}": description for name, description in _called("incumbent").items()},
    "threshold": Description(
        "threshold of the student",
        "The score from which the student calls an item positive. Votes have a part in it through the pool's "
        "estimated prevalence, so a random item is judged by one that its own fold's votes have no part in.",
        "by rule: the score that calls threshold_prevalence of the stop set positive; or where the calibrated "
        "probabilities expect the largest kappa there; or a probability of one half",
    ),
    "threshold_prevalence": Description(
        "prevalence the threshold is matched to",
        "The audit's share of positives, drawn towards the policy's expected prevalence while audit labels are few.",
        "(n_eff * audit share + 30 * expected) / (n_eff + 30), n_eff = (sum w)^2 / sum w^2",
    ),
    "calibration_slope": Description(
        "slope of the calibration",
        "How the student's log-odds are stretched to become probabilities: below 1 it is too sure of itself, 1 where "
        "no curve was fitted.",
        "slope of a logistic curve through out-of-fold scores, but for those of the random items it is judged by",
    ),
    "calibration_intercept": Description(
        "intercept of the calibration",
        "What is added to the stretched log-odds so that the stop set's probabilities average the pool's prevalence.",
        "the intercept at which the mean probability of the stop set is threshold_prevalence",
    ),
    "calibration_error": Description(
        "calibration error",
        "How far the student's probabilities are from how often such items are positive, less what chance adds; 0 is "
        "best. Measured on the random items, which the curve was not fitted to.",
        "sqrt(plain^2 - chance^2), plain = sum over bins of their weight * |mean probability - positive share|",
    ),
    "brier_score": Description(
        "Brier score",
        "The mean squared difference between probability and the experts' share of positive votes; 0 is best.",
        "sum(w * (probability - positive share of the votes)^2) / sum(w)",
    ),
    "predicted_f_change": Description(
        "predicted change of F",
        "How much F of this student would change if the student before were the truth on the stop set; near 0 the loop "
        "changes little (Altschuler and Bloodgood 2019).",
        "1 - 2a / (2a + b + c), the student and the student before",
    ),
    "incumbent_agreement": Description(
        "agreement with the incumbent",
        "How alike student and incumbent label the stop set: Cohen's kappa. It says what changed, not who is right.",
        f"kappa(student, incumbent); {CELLS}",
    ),
    "stop_set_agreement": Description(
        "agreement with the student before",
        "How alike this student and the one before label the stop set: Cohen's kappa. Near 1 the loop changes little.",
        f"kappa(student, student before); {CELLS}",
    ),
    "labels": Description("items labelled", "How many items the experts were asked about so far.", "a count of items"),
    "ceiling_further_labels": Description(
        "labels that would decide parity",
        "How many more labelled items, at the boundary or from audits, would tell whether the student is as good as "
        "the experts, if the distance stays as it is.",
        "items * ((half-width now / distance from the margin)^2 - 1); parity difference at the level of this look",
        (("parity_difference", ""),),
    ),
    "alt_test_winning_rate": Description(
        "alternative annotator test: winning rate",
        "The share of experts whom the student could replace: it agrees with the other experts as well as that expert "
        "does, up to epsilon (Calderon and others 2025). From .5 on the test is passed.",
        "share of experts whose paired one-sided t-test rejects after Benjamini and Yekutieli, q = .05",
    ),
    "alt_test_advantage": Description(
        "alternative annotator test: average advantage",
        "How often the student agrees with the other experts at least as well as the expert left out does.",
        "mean over experts of the share of items where the student scores no less than the expert",
    ),
    "stop_guideline_problem": _rule(
        "guideline problem",
        "Fires when the experts agree too little among themselves for more labels to help.",
        (("expert_expert_kappa", "loop"), ("expert_expert_kappa", "audit")),
    ),
    "stop_parity": _rule(
        "parity",
        "Fires when the lower bounds of the distance to the experts, at the boundary and in the pool, lie above minus "
        "the margin, as sure as the look has to be.",
        (("parity_difference", "boundary"), ("parity_difference", "audit")),
    ),
    "stop_budget_spent": _rule(
        "budget spent", "Fires when the labels or iterations that were granted are used up.", (("labels", "loop"),)
    ),
    "stop_plateau": _rule(
        "plateau",
        "Fires when the upper bound of the gain on the panel lies below the least gain that counts, as sure as the "
        "look has to be.",
        (("panel_gain", "panel"),),
    ),
    "stop_stable": _rule(
        "stable",
        "Fires when the last students label the stop set alike (Bloodgood and Vijay-Shanker 2009).",
        (("stop_set_agreement", "pool"),),
    ),
    "stop_predicted_change": _rule(
        "predicted change",
        "Fires when the last students would differ little in F (Altschuler and Bloodgood 2019). It is advice and ends "
        "nothing.",
        (("predicted_f_change", "pool"),),
    ),
    **{
        f"{model}_threshold": Description(
            f"threshold of the {name}",
            "The score from which it calls an item positive, matched to the same prevalence as the student's, so that "
            "a gain is not one over an old guess.",
            "the score that calls threshold_prevalence of the stop set positive",
        )
        for model, name in (("incumbent", "incumbent"), ("recommended", "model recommended so far"))
    },
    "better": Description(
        "better in the pool",
        "1 if the student is surely better than the model recommended so far, -1 if it is surely worse, 0 if they are "
        "not told apart. It decides which model to take; the promotion decides who selects next.",
        "the sign of the gain over the model recommended so far where its 95 % interval lies on one side of 0, else 0",
        (("gain_over_recommended", "audit"),),
    ),
    "promotion": Description(
        "promotion",
        "1 if the student selects next, as the incumbent: it does if it agrees with the experts no less in the pool; "
        "where no random item tells of that, on the evaluation items. Whether it is surely better is another question.",
        "1 if the gain of the student over the incumbent is known and not below 0, else 0",
        (("student_gain", "audit"), ("student_gain", "evaluation")),
    ),
    "verdict": Description(
        "verdict",
        "0 if the loop goes on, 1 if a stopping rule ended it; of several that fire, the first in order counts. Rules "
        "that are advice only do not.",
        "1 if any stopping rule fired, else 0",
        tuple((f"stop_{name}", "loop") for name in _ENDING),
    ),
    "watermark": Description(
        "watermark of the ledger",
        "The place of the last answer, withdrawal or adjudication this report rests on: what the ledger held up to it "
        "gives the same report for ever.",
        "the largest seq among them",
    ),
}


def is_rule(figure: str) -> bool:
    """Return whether a figure says whether a stopping rule fired."""
    return figure.startswith("stop_") and figure != "stop_set_agreement"


def title_of(figure: str) -> str:
    """Return a figure's name for people; that of the table, spaced, where the registry does not know it."""
    return FIGURES[figure].title if figure in FIGURES else figure.replace("_", " ")
