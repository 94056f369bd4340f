"""The model that learns from the experts, and where its threshold comes from."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from al_assets.config.pool import EmbeddingSettings
from al_assets.config.section import OPERATIONAL, Positive, Section, Share, Text


class SFTStudent(Section):
    """A causal language model fine-tuned by TRL's SFTTrainer on ``prompt`` + yes/no."""

    kind: Literal["sft"]
    base_model: Text
    revision: str = ""
    prompt: Text = "Text: {text}\nViolation?"
    yes: Text = " yes"
    no: Text = " no"
    method: Literal["full", "lora"] = "full"
    lora_rank: Positive = 16
    epochs: Annotated[float, Field(gt=0)] = 6
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    batch_size: Positive = 16
    warmup_share: Share = 0.1
    minority_share: Annotated[float, Field(gt=0, le=0.5)] = 0.4
    max_tokens: Positive = 128
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    seed: int = 0
    micro_batch_size: Annotated[Positive, OPERATIONAL] = 8
    scoring_batch_size: Annotated[Positive, OPERATIONAL] = 64
    device: Annotated[str, OPERATIONAL] = "cpu"


class LinearStudent(Section):
    """Logistic regression on the frozen embedding: seconds to train; the floor a language model has to beat.

    :param balanced: both classes weigh alike, however rare one of them is.
    """

    kind: Literal["linear"]
    embedding: EmbeddingSettings
    regularisation: Annotated[float, Field(gt=0)] = 1.0
    balanced: bool = True
    seed: int = 0


StudentSettings = Annotated[SFTStudent | LinearStudent, Field(discriminator="kind")]


class CalibrationSettings(Section):
    """Where the student's threshold and its probabilities come from.

    :param folds: students trained to score each fine-tuning item by one that has not seen it; 0 for none. By default 5
        for a linear student and 0 for a language model, which takes as long for each as for the student itself.
    :param method: the curve from score to probability that is fitted to those scores.
    :param threshold: prevalence: call as much of the pool positive as is estimated to be; kappa: where the calibrated
        probabilities expect the largest kappa; half: a probability of one half. The last two need folds.
    """

    folds: Annotated[int, Field(ge=0, le=50)] | None = None
    method: Literal["logistic", "temperature", "isotonic"] = "logistic"
    threshold: Literal["prevalence", "kappa", "half"] = "prevalence"
    seed: int = 0

    @field_validator("folds")
    @classmethod
    def _none_or_several(cls, folds: int | None) -> int | None:
        if folds == 1:
            raise ValueError("1 fold leaves nothing to train on; give 2 or more, or 0 for none")
        return folds
