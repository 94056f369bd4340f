"""The process that fine-tunes a language model: ``python -m al_assets.models.students.sft_worker SPEC.json``."""

import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from al_assets.config import SFTStudent
from al_assets.models.labelers.prompts import PromptTemplate, in_chat
from al_assets.models.labelers.yes_no import hub_revision, load_tokenizer, yes_no_tokens
from al_assets.models.students.training_order import training_order
from al_assets.models.students.training_process import (
    Report,
    TrainingError,
    TrainingTask,
    be_deterministic,
    make_reporter,
    serve,
    trainer_arguments,
)

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

# A billion parameters, at the default micro_batch_size and max_tokens.
_LARGE = 1_000_000_000 * 8 * 128
_WAY_OUT = "lower student.learning_rate, or set student.dtype to float32"


def train(task: TrainingTask, report: Report) -> None:
    """Fine-tune the base model on prompt + yes/no and save it, LoRA merged, as a plain transformers directory.

    :raises ModelError: the base model cannot be used.
    :raises TrainingError: the loss is no longer a number.
    """
    import torch

    settings = SFTStudent.model_validate(task.settings)
    be_deterministic(settings.seed)
    tokenizer = load_tokenizer(task.base_model, settings.revision)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = _load_model(settings, task.base_model)
    with tempfile.TemporaryDirectory(prefix="al-trainer-") as scratch:
        trainer = _make_trainer(
            model,
            _arguments(settings, scratch, model.num_parameters()),
            _dataset(settings, tokenizer, task.texts, task.labels),
            tokenizer,
            sum(yes_no_tokens(tokenizer, settings.yes, settings.no)),
            _lora(settings) if settings.method == "lora" else None,
            make_reporter(report, task.parent, _WAY_OUT),
        )
        trainer.train()
        trained: Any = trainer.model
    if settings.method == "lora":
        trained = trained.merge_and_unload()
    trained.to(getattr(torch, settings.dtype)).save_pretrained(task.directory)
    tokenizer.save_pretrained(task.directory)


def _load_model(settings: SFTStudent, base_model: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        # What learns stays in float32, as the adapters of LoRA do: in bfloat16 a small step would round to no step.
        dtype = torch.float32 if settings.method == "full" else getattr(torch, settings.dtype)
        model = AutoModelForCausalLM.from_pretrained(
            base_model, dtype=dtype, **hub_revision(base_model, settings.revision)
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
    template, chat = PromptTemplate.parse(settings.prompt), settings.chat_template
    if chat:
        template = in_chat(template, tokenizer, settings.base_model)
    prompts = template.fit(tokenizer, texts, settings.max_tokens, special_tokens=not chat)
    ids = tokenizer(prompts, add_special_tokens=not chat)["input_ids"]
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
        **trainer_arguments(settings, scratch),
        completion_only_loss=True,
        max_length=None,
        per_device_train_batch_size=_micro_batch(settings),
        gradient_accumulation_steps=settings.batch_size // _micro_batch(settings),
        optim="adamw_torch_fused",
        weight_decay=0.0,
        bf16=settings.dtype == "bfloat16",
        # Recomputing activations costs a third more time: only where they would fill the memory.
        activation_checkpointing=parameters * _micro_batch(settings) * settings.max_tokens > _LARGE,
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


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1], train))
