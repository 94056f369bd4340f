"""Labelers: whatever says how likely a text violates the policy, made from the policy file."""

from pathlib import Path
from typing import Any

from al_assets.config import (
    CausalLMSettings,
    ClassifierSettings,
    CombinationSettings,
    FunctionsSettings,
    KeywordsSettings,
    LabelerSettings,
    OpenAISettings,
    Policy,
    PromptSettings,
    fingerprint_of,
)
from al_assets.models.labelers import causal_lm, combination, served, weak_labelers
from al_assets.models.labelers.prompts import policy_prompt
from al_assets.models.labelers.protocol import Labeler, LabelerError

__all__ = ["Labeler", "LabelerError", "labeler_fingerprint", "make_labeler"]

LONGEST_NAME = 60


def make_labeler(settings: LabelerSettings, policy: Policy) -> Labeler:
    """Return the labeler; use it as a context manager. Nothing heavy happens before its first ``score``.

    :raises PromptError: a prompt does not hold ``{text}`` exactly once.
    """
    fingerprint, prior = labeler_fingerprint(settings, policy), policy.policy.expected_prevalence
    match settings:
        case FunctionsSettings():
            return weak_labelers.FunctionsLabeler(settings, fingerprint, prior, policy.base_dir)
        case KeywordsSettings():
            return weak_labelers.KeywordsLabeler(settings, fingerprint, prior)
        case ClassifierSettings():
            return weak_labelers.ClassifierLabeler(settings, fingerprint, policy.policy.labels, policy.base_dir)
        case CombinationSettings():
            members = _members(settings, policy)
            if settings.method == "label_model":
                return combination.LabelModelLabeler(members, fingerprint, prior)
            return combination.CombinationLabeler(members, settings.weights, fingerprint, prior)
    template = policy_prompt(settings, policy.policy)
    if isinstance(settings, OpenAISettings):
        return served.OpenAILabeler(settings, fingerprint, template)
    model = policy.resolve_model(settings.model)
    if isinstance(settings, CausalLMSettings):
        return causal_lm.CausalLMLabeler(settings, fingerprint, template, model)
    return served.VLLMLabeler(settings, fingerprint, template, model, _interpreter(settings.python, policy))


def labeler_fingerprint(settings: LabelerSettings, policy: Policy) -> str:
    """Return 12 hex digits that change when the scores may: with the settings and what they use of the policy's text.

    What a model directory, file or function holds is not looked at: change ``revision`` when it does.
    """
    return fingerprint_of([settings.fingerprint(), _used_of_policy(settings, policy)])


def _used_of_policy(settings: LabelerSettings, policy: Policy) -> Any:
    match settings:
        case FunctionsSettings() | KeywordsSettings():
            return policy.policy.expected_prevalence
        case ClassifierSettings():
            return policy.policy.labels.positive
        case CombinationSettings():
            members = [labeler_fingerprint(member, policy) for member in settings.labelers]
            if settings.method == "label_model":
                return [members, policy.policy.expected_prevalence, combination.LABEL_MODEL_VERSION]
            return members
        case PromptSettings():
            template = policy_prompt(settings, policy.policy)
            return [template.before, template.after]


def _members(settings: CombinationSettings, policy: Policy) -> list[combination.MemberLabeler]:
    listed: list[LabelerSettings] = []
    for member in settings.labelers:
        if isinstance(member, FunctionsSettings) and settings.method == "label_model":
            # Each function errs in its own way, which a mean of them would hide from the label model.
            listed += [member.model_copy(update={"functions": (path,)}) for path in member.functions]
        else:
            listed.append(member)
    names: list[str] = []
    for member in listed:
        name = _name(member)
        same = sum(known == name or known.startswith(f"{name} (") for known in names)
        names.append(f"{name} ({same + 1})" if same else name)
    return [
        combination.MemberLabeler(name, make_labeler(each, policy)) for name, each in zip(names, listed, strict=True)
    ]


def _name(settings: LabelerSettings) -> str:
    match settings:
        case FunctionsSettings():
            said = ", ".join(settings.functions)
        case KeywordsSettings():
            said = "keywords: " + ", ".join((*settings.positive, *settings.negative))
        case CombinationSettings():
            said = f"combination of {len(settings.labelers)}"
        case _:
            said = f"{settings.kind}: {settings.model}"
    return said if len(said) <= LONGEST_NAME else said[: LONGEST_NAME - 1] + "…"


def _interpreter(python: str, policy: Policy) -> str:
    return policy.resolve(python) if len(Path(python).parts) > 1 else python
