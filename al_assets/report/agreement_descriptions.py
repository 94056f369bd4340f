"""What the figures of agreement among raters, and with a model, are: their part of the registry in ``descriptions``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Description:
    """A figure in words.

    :param title: its name for people.
    :param sentence: what it says, and how to read it.
    :param formula: how it is computed; a, b, c, d are the cells of a 2 x 2 table (both positive, only the first, only
        the second, both negative) and w the items' weights.
    :param rests_on: figures (and their scope; "" for the same one) it is computed from, if it is not computed from
        items.
    """

    title: str
    sentence: str
    formula: str
    rests_on: tuple[tuple[str, str], ...] = ()


CELLS = "kappa = 2 (ad - bc) / ((a + b)(b + d) + (a + c)(c + d)), the same as (Po - Pe) / (1 - Pe)"
_POOLED = (
    "1 - sum(b + c) / sum(n (p q' + p' q)) over {pairs}, n the items they share, p and q the shares of positive "
    "answers of the two over all of their items, p' and q' those of negative ones; of two who answer everything it is "
    "(Po - Pe) / (1 - Pe)"
)
_ON_SHARED = "on the items with two or more decisive votes"


def _with_experts(who: str) -> Description:
    return Description(
        f"{who}-expert kappa",
        f"How far the {who} and an expert agree beyond chance: Cohen's kappa pooled over the experts, {_ON_SHARED}, "
        "so that it compares with expert-expert kappa. 1 is full agreement, 0 what chance would give.",
        _POOLED.format(pairs=f"the pairs of the {who} with an expert"),
    )


def _plain_mean(title: str, pairs: str) -> Description:
    return Description(
        f"{title}, plain mean",
        f"The mean of Cohen's kappa over {pairs}, as it is often reported. It lies too low where they share few items, "
        "so it stands beside the pooled kappa and decides nothing.",
        f"mean over {pairs} of kappa; {CELLS}; pairs without a defined kappa are left out",
    )


def _bounds(title: str, name: str, worst: str, best: str) -> dict[str, Description]:
    said = 'if every "cannot decide" had been decided so that it agrees'
    formula = f"as {title}, from the votes so filled in, on the items with two answers of any kind"
    return {
        f"{name}_worst": Description(
            f"{title}, at worst",
            f"What {title} would be {said} least: {worst}. Kappa itself leaves such answers out, which flatters.",
            formula,
        ),
        f"{name}_best": Description(
            f"{title}, at best",
            f"What {title} would be {said} most: {best}.",
            formula,
        ),
    }


AGREEMENT = {
    "expert_expert_kappa": Description(
        "expert-expert kappa",
        "How far two experts agree beyond chance: Cohen's kappa pooled over all pairs of experts. It is the ceiling "
        "for a model that is compared with single experts.",
        _POOLED.format(pairs="the pairs of experts"),
    ),
    "model_expert_kappa": _with_experts("student"),
    "incumbent_expert_kappa": _with_experts("incumbent"),
    "expert_expert_mean_kappa": _plain_mean("expert-expert kappa", "pairs of experts"),
    "model_expert_mean_kappa": _plain_mean("student-expert kappa", "experts with the student"),
    "incumbent_expert_mean_kappa": _plain_mean("incumbent-expert kappa", "experts with the incumbent"),
    "krippendorff_alpha": Description(
        "Krippendorff's alpha",
        "Agreement of all experts at once beyond chance, with missing votes allowed. From .667 tentative conclusions, "
        "from .8 firm ones (Krippendorff).",
        "1 - Do / De; Do = discordant pairs of votes within items, De the same after shuffling all votes",
    ),
    "fleiss_kappa": Description(
        "Fleiss' kappa",
        "Agreement of all experts at once beyond chance, where each item has the same number of votes (Fleiss 1971).",
        "(Po - Pe) / (1 - Pe) with Pe = sum over labels of (share of all votes)^2",
    ),
    "gwet_ac1": Description(
        "Gwet's AC1",
        "Agreement beyond chance with a chance term that does not explode when one label is rare; it is high when "
        "positives are few, so read it beside kappa, never in its place.",
        "(Po - Pe) / (1 - Pe) with Pe = 2 q (1 - q), q the mean share of positive votes (Gwet 2008)",
    ),
    "observed_agreement": Description(
        "observed agreement",
        "The share of answers on which two experts give the same label, chance included.",
        "(a + d) / (a + b + c + d), cells summed over all pairs of experts",
    ),
    "positive_agreement": Description(
        "positive agreement",
        "If one expert says positive, how often another does too.",
        "2a / (2a + b + c), cells summed over all pairs of experts",
    ),
    "negative_agreement": Description(
        "negative agreement",
        "If one expert says negative, how often another does too.",
        "2d / (2d + b + c), cells summed over all pairs of experts",
    ),
    "prevalence_index": Description(
        "prevalence index",
        "How lopsided the labels are: 0 when half are positive, 1 when only one label occurs. Kappa falls as it rises.",
        "mean over pairs of experts of |a - d| / (a + b + c + d)",
    ),
    "bias_index": Description(
        "bias index",
        "How far two experts differ in how often they say positive: 0 when they say it equally often.",
        "mean over pairs of experts of |b - c| / (a + b + c + d)",
    ),
    "undecided_share": Description(
        "share of 'cannot decide'",
        "How many answers were 'cannot decide': a sign of gaps in the guideline. They are left out of every kappa.",
        "answers 'cannot decide' / all answers",
    ),
    "alpha_with_undecided": Description(
        "Krippendorff's alpha with 'cannot decide' as an answer",
        "Agreement of all experts beyond chance where 'cannot decide' is a third answer, which agrees with nothing but "
        "itself.",
        "1 - Do / De over positive, negative and undecided answers, on the items with two answers",
    ),
    **_bounds(
        "expert-expert kappa",
        "expert_expert_kappa",
        "on each item positives and negatives come nearest to halves",
        "each goes with most of the item's decisive votes, and where these are tied with the rarer label",
    ),
    **_bounds("student-expert kappa", "model_expert_kappa", "against the student", "as the student says"),
    **_bounds("incumbent-expert kappa", "incumbent_expert_kappa", "against the incumbent", "as the incumbent says"),
    "left_out_of_kappa": Description(
        "items left out of kappa",
        "How many labelled items have fewer than two decisive votes, and so no part in kappa; its method says by what, "
        "and names some.",
        "a count of items",
    ),
}
