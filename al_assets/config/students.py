"""The model that learns from the experts, and where its threshold comes from."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from al_assets.config.pool import EmbeddingSettings
from al_assets.config.section import OPERATIONAL, Positive, Section, Share, Text


class HeadStart(Section):
    """What a fine-tuned student learns before any expert's label: LLM-0's soft labels on a sample of the pool.

    :param items: of the pool's first snapshot; a smaller pool is used whole.
    :param positive_share: of the sample, items that LLM-0 calls positive, as far as the pool has as many.
    :param epochs: passes over the sample.
    """

    items: Positive = 1_000
    positive_share: Share = 0.4
    epochs: Annotated[float, Field(gt=0)] = 2


class LinearHeadStart(Section):
    """What a linear student learns before any expert's label: a ridge regression of LLM-0's log-odds on the vectors.

    :param items: of the pool's first snapshot; a smaller pool is used whole.
    :param strength: how strongly the weights are held to LLM-0's; None: as strongly as the experts' labels bear out.
    """

    items: Positive = 20_000
    strength: Annotated[float, Field(gt=0)] | None = None


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
    head_start: HeadStart | Literal["none"] = HeadStart(epochs=1)


class EncoderStudent(Section):
    """A sentence encoder with a linear head on its sentence vector, trained whole.

    :param learning_rate: the encoder's; the head, which starts from nothing, has ``head_learning_rate``.
    :param balanced: both answers weigh alike, however rare one of them is.
    """

    kind: Literal["encoder"]
    base_model: Text
    revision: str = ""
    epochs: Annotated[float, Field(gt=0)] = 4
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    head_learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    batch_size: Positive = 16
    warmup_share: Share = 0.1
    balanced: bool = True
    max_tokens: Positive = 128
    seed: int = 0
    scoring_batch_size: Annotated[Positive, OPERATIONAL] = 64
    device: Annotated[str, OPERATIONAL] = "cpu"
    head_start: HeadStart | Literal["none"] = HeadStart()


class LinearStudent(Section):
    """Logistic regression on the frozen embedding: seconds to train; the floor a language model has to beat.

    :param balanced: both classes weigh alike, however rare one of them is.
    """

    kind: Literal["linear"]
    embedding: EmbeddingSettings
    regularisation: Annotated[float, Field(gt=0)] = 1.0
    balanced: bool = True
    seed: int = 0
    head_start: LinearHeadStart | Literal["none"] = LinearHeadStart()


StudentSettings = Annotated[SFTStudent | EncoderStudent | LinearStudent, Field(discriminator="kind")]


class CalibrationSettings(Section):
    """Where the student's threshold and its probabilities come from.

    :param folds: students trained to score each fine-tuning item by one that has not seen it; 0 for none. By default 5
        for a linear student, 3 for an encoder and 0 for a language model: each takes as long as the student itself.
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
