"""Labelers: whatever says how likely a text violates the policy, made from the policy file."""

from pathlib import Path
from typing import Any

from al_assets.config import (
    CausalLMLabeler,
    ClassifierLabeler,
    CombinationLabeler,
    FunctionsLabeler,
    LabelerSettings,
    OpenAILabeler,
    Policy,
    PromptSettings,
    fingerprint_of,
)
from al_assets.models.labelers import causal_lm, classifier, combination, functions, openai, vllm
from al_assets.models.labelers.prompts import policy_prompt
from al_assets.models.labelers.protocol import Labeler, LabelerError

__all__ = ["Labeler", "LabelerError", "labeler_fingerprint", "make_labeler"]


def make_labeler(settings: LabelerSettings, policy: Policy) -> Labeler:
    """Return the labeler; use it as a context manager. Nothing heavy happens before its first ``score``.

    :raises PromptError: a prompt does not hold ``{text}`` exactly once.
    """
    fingerprint = labeler_fingerprint(settings, policy)
    match settings:
        case FunctionsLabeler():
            prior = policy.policy.expected_prevalence
            return functions.FunctionsLabeler(settings, fingerprint, prior, policy.base_dir)
        case ClassifierLabeler():
            return classifier.ClassifierLabeler(settings, fingerprint, policy.policy.labels, policy.base_dir)
        case CombinationLabeler():
            members = [make_labeler(each, policy) for each in settings.labelers]
            return combination.CombinationLabeler(members, settings.weights, fingerprint)
    template = policy_prompt(settings, policy.policy)
    if isinstance(settings, OpenAILabeler):
        return openai.OpenAILabeler(settings, fingerprint, template)
    model = policy.resolve_model(settings.model)
    if isinstance(settings, CausalLMLabeler):
        return causal_lm.CausalLMLabeler(settings, fingerprint, template, model)
    return vllm.VLLMLabeler(settings, fingerprint, template, model, _interpreter(settings.python, policy))


def labeler_fingerprint(settings: LabelerSettings, policy: Policy) -> str:
    """Return 12 hex digits that change when the scores may: with the settings and what they use of the policy's text.

    What a model directory, file or function holds is not looked at: change ``revision`` when it does.
    """
    return fingerprint_of([settings.fingerprint(), _used_of_policy(settings, policy)])


def _used_of_policy(settings: LabelerSettings, policy: Policy) -> Any:
    match settings:
        case FunctionsLabeler():
            return policy.policy.expected_prevalence
        case ClassifierLabeler():
            return policy.policy.labels.positive
        case CombinationLabeler():
            return [labeler_fingerprint(each, policy) for each in settings.labelers]
        case PromptSettings():
            template = policy_prompt(settings, policy.policy)
            return [template.before, template.after]


def _interpreter(python: str, policy: Policy) -> str:
    return policy.resolve(python) if len(Path(python).parts) > 1 else python
