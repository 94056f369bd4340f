"""A language model as student: fine-tuned in a process of its own, then asked like any causal-LM labeler."""

from collections.abc import Sequence
from pathlib import Path

from al_assets.config import CausalLMSettings, Policy, SFTStudent
from al_assets.models.labelers.causal_lm import CausalLMLabeler
from al_assets.models.labelers.prompts import PromptTemplate
from al_assets.models.students.record import Progress, TrainingResult
from al_assets.models.students.training_process import train_in_process


def train_sft(
    settings: SFTStudent, texts: Sequence[str], labels: Sequence[float], directory: Path, policy: Policy,
    progress: Progress, start: Path | None = None,
) -> TrainingResult:  # fmt: skip
    """Fine-tune in a subprocess and write a plain transformers directory; see ``train_in_process``.

    :raises StudentError: the training failed; the message ends with what the subprocess said last.
    """
    PromptTemplate.parse(settings.prompt, "student.prompt")
    worker = "al_assets.models.students.sft_worker"
    return train_in_process(worker, settings, texts, labels, directory, policy, progress, start)


class SFTLabeler(CausalLMLabeler):
    """A fine-tuned language model at work: the causal-LM labeler with the student's own short prompt."""

    def __init__(self, settings: SFTStudent, fingerprint: str, directory: Path) -> None:
        """Name the student's directory; it is loaded by the first ``score``."""
        asked = CausalLMSettings(
            kind="causal_lm", model=str(directory), prompt=settings.prompt, yes=settings.yes, no=settings.no,
            chat_template=settings.chat_template, dtype=settings.dtype, max_tokens=settings.max_tokens,
            batch_size=settings.scoring_batch_size, device=settings.device,
        )  # fmt: skip
        super().__init__(asked, fingerprint, PromptTemplate.parse(settings.prompt), str(directory))
