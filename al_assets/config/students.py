"""The model that learns from the experts, and where its threshold comes from."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

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
    """What a linear student learns before any expert's label: LLM-0's soft labels on a sample of the pool.

    :param items: of the pool's first snapshot; a smaller pool is used whole.
    :param strength: penalty on leaving what LLM-0 taught; None: as large as the experts' labels bear out.
    """

    items: Positive = 20_000
    strength: Annotated[float, Field(gt=0)] | None = None


class SFTStudent(Section):
    """A causal language model fine-tuned by TRL's SFTTrainer on ``prompt`` + yes/no.

    :param prompt: holds ``{text}``; ``{question}`` and ``{guideline}`` are the policy's.
    :param chat_template: the prompt is a user's message in the model's chat template, as a labeler's can be.
    """

    kind: Literal["sft"]
    base_model: Text
    revision: str = ""
    prompt: Text = "Text: {text}\nViolation?"
    yes: Text = " yes"
    no: Text = " no"
    chat_template: bool = False
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
    :param with_llm0: LLM-0's score is a feature, so that LLM-0 has to be asked wherever the student serves.
    """

    kind: Literal["linear"]
    embedding: EmbeddingSettings
    regularisation: Annotated[float, Field(gt=0)] = 1.0
    balanced: bool = True
    seed: int = 0
    head_start: LinearHeadStart | Literal["none"] = LinearHeadStart()
    with_llm0: bool = False

    @model_validator(mode="after")
    def _llm0_comes_with_a_head_start(self) -> Self:
        if self.with_llm0 and self.head_start == "none":
            raise ValueError("with_llm0: needs a head start, by which LLM-0's scores are read; leave out head_start")
        return self

    @property
    def strength(self) -> float | None:
        """Penalty on leaving the head start; None: by the labels."""
        return self.head_start.strength if isinstance(self.head_start, LinearHeadStart) else None


StudentSettings = Annotated[SFTStudent | EncoderStudent | LinearStudent, Field(discriminator="kind")]


class CalibrationSettings(Section):
    """Where the student's threshold and its probabilities come from.

    :param folds: students trained to score each item that teaches by one that has not seen it; 0 for none. By default 5
        of a linear student and 3 of an encoder; of a language model 3 where ``split.evaluation`` is crossfit, else 0.
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
