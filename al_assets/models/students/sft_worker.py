"""The process that fine-tunes: ``python -m al_assets.models.students.sft_worker SPEC.json``.

Writes one JSON object a line to stdout: ``{"step", "steps", "loss"}`` after each optimiser step, or ``{"error"}``.
"""

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_assets.config import SFTStudent
from al_assets.models.labelers.prompts import PromptTemplate
from al_assets.models.labelers.yes_no import hub_revision, load_tokenizer, yes_no_tokens

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

_LARGE = 1_000_000_000
# Batches that are sorted by length together: more save padding, fewer keep the order random.
_WINDOW = 8
Report = Callable[[dict[str, Any]], None]


class TrainingError(ValueError):
    """The training cannot go on; the message says why and what to change."""


def main(spec_file: str) -> int:
    """Train as the specification says; return the exit status."""
    # Libraries print; what the parent reads must be ours alone.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(event: dict[str, Any]) -> None:
        channel.write(json.dumps(event) + "\n")
        channel.flush()

    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    try:
        train(
            SFTStudent.model_validate(spec["settings"]), spec["base_model"], spec["texts"], spec["labels"],
            Path(spec["directory"]), report, spec["parent"],
        )  # fmt: skip
    except ValueError as error:
        report({"error": str(error)})
        return 1
    return 0


def train(
    settings: SFTStudent, base_model: str, texts: Sequence[str], labels: Sequence[float], directory: Path,
    report: Report, parent: int,
) -> None:  # fmt: skip
    """Fine-tune the base model on prompt + yes/no and save it, LoRA merged, as a plain transformers directory.

    :param labels: share of yes among the votes of each text, 0 to 1.
    :param parent: process whose end ends the training.
    :raises ModelError: the base model cannot be used.
    :raises TrainingError: the loss is no longer a number.
    """
    import torch
    from transformers import set_seed

    set_seed(settings.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # What it would find, reads of memory never written, is torch's to test; filling that memory costs time.
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False
    tokenizer = load_tokenizer(base_model, settings.revision)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = _load_model(settings, base_model)
    with tempfile.TemporaryDirectory(prefix="al-trainer-") as scratch:
        trainer = _make_trainer(
            model,
            _arguments(settings, scratch, model.num_parameters()),
            _dataset(settings, tokenizer, texts, labels),
            tokenizer,
            sum(yes_no_tokens(tokenizer, settings.yes, settings.no)),
            _lora(settings) if settings.method == "lora" else None,
            _callback(report, parent),
        )
        trainer.train()
        trained: Any = trainer.model
    if settings.method == "lora":
        trained = trained.merge_and_unload()
    trained.to(getattr(torch, settings.dtype)).save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _load_model(settings: SFTStudent, base_model: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        # Weights stay in float32: in bfloat16 a small step would round to no step.
        model = AutoModelForCausalLM.from_pretrained(
            base_model, dtype=torch.float32, **hub_revision(base_model, settings.revision)
        )
    except (OSError, ValueError) as error:
        raise TrainingError(f"student.base_model: {base_model!r} cannot be loaded: {error}") from error
    model.config.use_cache = False
    return model


def _dataset(settings: SFTStudent, tokenizer: Any, texts: Sequence[str], labels: Sequence[float]) -> "Dataset":
    """Tokenise as the scorer does, repeat rows in training order; the answer is the only token that is learnt.

    The answer is what most votes say, and ``doubt`` the share of those that say otherwise: 0 to a half.
    """
    from datasets import Dataset

    yes, no = yes_no_tokens(tokenizer, settings.yes, settings.no)
    prompts = PromptTemplate.parse(settings.prompt).fit(tokenizer, texts, settings.max_tokens)
    ids = tokenizer(prompts)["input_ids"]
    rows = [[*prompt, yes if label > 0.5 else no] for prompt, label in zip(ids, labels, strict=True)]
    order = training_order(
        labels, [len(row) for row in rows], epochs=settings.epochs, batch_size=settings.batch_size,
        minority_share=settings.minority_share, seed=settings.seed,
    ).ravel()  # fmt: skip
    doubts = [float(min(label, 1 - label)) for label in labels]
    return Dataset.from_dict(
        {
            "input_ids": [rows[index] for index in order],
            "completion_mask": [[0] * (len(rows[index]) - 1) + [1] for index in order],
            "doubt": [doubts[index] for index in order],
        }
    )


def _arguments(settings: SFTStudent, scratch: str, parameters: int) -> "SFTConfig":
    from trl.trainer.sft_config import SFTConfig

    return SFTConfig(
        output_dir=scratch,
        completion_only_loss=True,
        max_length=None,
        # The rows come in training order, all epochs of them.
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=_micro_batch(settings),
        gradient_accumulation_steps=settings.batch_size // _micro_batch(settings),
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_share,
        optim="adamw_torch_fused",
        weight_decay=0.0,
        max_grad_norm=1.0,
        bf16=settings.dtype == "bfloat16",
        # Recomputing activations costs a third more time: only where they would fill the memory.
        activation_checkpointing=parameters > _LARGE,
        use_cpu=settings.device == "cpu",
        seed=settings.seed,
        data_seed=settings.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        dataloader_pin_memory=False,
    )


def _micro_batch(settings: SFTStudent) -> int:
    """Return how many texts go through the model at once: memory grows with them, the gradient is the batch's."""
    limit = min(settings.micro_batch_size, settings.batch_size)
    return max(size for size in range(1, limit + 1) if settings.batch_size % size == 0)


def _lora(settings: SFTStudent) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def _make_trainer(
    model: Any, arguments: "SFTConfig", dataset: "Dataset", tokenizer: Any, both: int, lora: Any,
    callback: "TrainerCallback",
) -> "SFTTrainer":  # fmt: skip
    """Return a trainer that teaches each answer as far as the votes agree on it.

    :param both: the sum of the ids of yes and no, so that either tells the other.
    """
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

    class DoubtCollator(DataCollatorForLanguageModeling):
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            return {**super().torch_call(examples), "doubt": torch.tensor([each["doubt"] for each in examples])}

    class AnswerTrainer(SFTTrainer):
        """SFTTrainer with soft labels, and without the logits of the prompt's tokens, a third of the work.

        With p the share of votes for yes the loss is p CE(yes) + (1 - p) CE(no): SFTTrainer's own, to the last bit,
        where the votes are unanimous.
        """

        def _set_signature_columns_if_needed(self) -> None:
            columns: Any = ["input_ids", "labels", "doubt"]
            self._signature_columns = columns

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            labels = inputs["labels"][:, 1:]
            learnt = labels != -100
            head = self.accelerator.unwrap_model(model).get_output_embeddings()
            hook = head.register_forward_pre_hook(lambda _, hidden: hidden[0][:, :-1][learnt][:, None])
            try:
                output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
            finally:
                hook.remove()
            logits, answer, entropy = output.logits[:, 0].float(), labels[learnt], torch.nn.functional.cross_entropy
            other = entropy(logits, both - answer, reduction="none") - entropy(logits, answer, reduction="none")
            total = entropy(logits, answer, reduction="sum") + (inputs["doubt"] * other).sum()
            loss = total / (learnt.sum() if num_items_in_batch is None else num_items_in_batch)
            return (loss, output) if return_outputs else loss

    return AnswerTrainer(
        model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer, peft_config=lora,
        data_collator=DoubtCollator(tokenizer.pad_token_id), callbacks=[callback],
    )  # fmt: skip


def _callback(report: Report, parent: int) -> "TrainerCallback":
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            report({"step": 0, "steps": state.max_steps})

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if os.getppid() != parent:
                raise TrainingError("student: the process that asked for this training has ended")

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise TrainingError(
                    f"student: the loss was {loss} at step {state.global_step} of {state.max_steps}; lower "
                    "student.learning_rate, or set student.dtype to float32"
                )
            report({"step": state.global_step, "steps": state.max_steps, "loss": loss})

    return Reporter()


def training_order(
    labels: Sequence[float], lengths: Sequence[int], *, epochs: float, batch_size: int, minority_share: float, seed: int
) -> NDArray[np.int64]:
    """Return indices of texts, batch after batch, shape (batches, batch_size).

    An epoch holds every text at least once. Those that lean to the rarer answer are repeated until they make up
    ``minority_share`` of those that lean to either, if they do not by themselves; which texts are repeated once more
    than others is drawn anew each epoch. Batches hold texts of like length, which halves the padding; their order is
    random.

    :param labels: shares of yes; at least one above and one below a half. A tie leans to neither.
    :param lengths: tokens of each text.
    :param epochs: may be fractional; at least one batch is returned.
    """
    rng = np.random.default_rng(seed)
    shares = np.asarray(labels, dtype=np.float64)
    epoch = len(_balanced(shares, minority_share, np.random.default_rng(seed)))
    batches = max(1, round(epochs * epoch / batch_size))
    stream = [rng.permutation(_balanced(shares, minority_share, rng)) for _ in range(-(-batches * batch_size // epoch))]
    flat = np.concatenate(stream)[: batches * batch_size]
    tokens = np.asarray(lengths)
    ordered = np.empty((batches, batch_size), dtype=np.int64)
    for start in range(0, batches, _WINDOW):
        window = flat[start * batch_size : (start + _WINDOW) * batch_size]
        window = window[np.argsort(tokens[window], kind="stable")].reshape(-1, batch_size)
        ordered[start : start + len(window)] = rng.permutation(window)
    return ordered


def _balanced(shares: NDArray[np.float64], minority_share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    rarer, other = sorted((np.flatnonzero(shares > 0.5), np.flatnonzero(shares < 0.5)), key=len)
    wanted = round(len(other) * minority_share / (1 - minority_share))
    return np.concatenate([_repeated(rarer, max(wanted, len(rarer)), rng), other, np.flatnonzero(shares == 0.5)])


def _repeated(indices: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    whole, rest = divmod(count, len(indices))
    return np.concatenate([np.tile(indices, whole), rng.permutation(indices)[:rest]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
