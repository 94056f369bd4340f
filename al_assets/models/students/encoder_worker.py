"""The process that trains an encoder: ``python -m al_assets.models.students.encoder_worker SPEC.json``."""

import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from al_assets.config import EncoderStudent
from al_assets.models.labelers.yes_no import hub_revision
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
    from sentence_transformers import SentenceTransformer
    from transformers import Trainer, TrainerCallback

_WAY_OUT = "lower student.learning_rate or student.head_learning_rate"


def train(task: TrainingTask, report: Report) -> None:
    """Train encoder and head, and save them as a sentence-transformers directory whose vectors are the logits.

    :raises TrainingError: the base model cannot be used, or the loss is no longer a number.
    """
    settings = EncoderStudent.model_validate(task.settings)
    be_deterministic(settings.seed)
    model = _load_model(settings, task.base_model, task.started)
    with tempfile.TemporaryDirectory(prefix="al-trainer-") as scratch:
        reporter = make_reporter(report, task.parent, _WAY_OUT)
        _make_trainer(settings, model, task.texts, task.labels, scratch, reporter).train()
    model.save_pretrained(task.directory, create_model_card=False)


def _load_model(settings: EncoderStudent, location: str, started: bool) -> "SentenceTransformer":
    """Load an encoder and put a head on it; an earlier student has one."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize
    from torch.nn import Identity

    revision = hub_revision(location, settings.revision).get("revision")
    try:
        model = SentenceTransformer(location, device=settings.device, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"student.base_model: {location!r} cannot be loaded: {error}; name the directory of an encoder, or its "
            "name on a model hub that can be reached"
        ) from error
    if not started:
        # Of unit vectors a head would have to grow large weights before it could be sure of anything.
        kept = [module for module in model if not isinstance(module, Normalize)]
        width = int(model.get_embedding_dimension() or 0)
        head = Dense(width, 1, activation_function=Identity())
        model = SentenceTransformer(modules=[*kept, head], device=settings.device)
        model.max_seq_length = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)
    # Weights stay in float32: in bfloat16 a small step would round to no step.
    return model.float()


def _make_trainer(
    settings: EncoderStudent, model: Any, texts: Sequence[str], labels: Sequence[float], scratch: str,
    callback: "TrainerCallback",
) -> "Trainer":  # fmt: skip
    """Return a trainer of cross-entropy with soft labels, in which the head has a learning rate of its own."""
    import torch
    from transformers import Trainer, TrainingArguments

    order = training_order(
        labels, [len(text) for text in texts], epochs=settings.epochs, batch_size=settings.batch_size,
        minority_share=0, seed=settings.seed,
    ).ravel()  # fmt: skip
    positive, negative = _weights(labels, settings.balanced)

    class HeadTrainer(Trainer):
        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            logits, shares = model(inputs["features"])["sentence_embedding"][:, 0], inputs["shares"]
            weight = torch.tensor(positive / negative, device=logits.device)
            entropy = torch.nn.functional.binary_cross_entropy_with_logits
            loss = negative * entropy(logits, shares, pos_weight=weight)
            return (loss, {"logits": logits}) if return_outputs else loss

    def collate(rows: Sequence[tuple[str, float]]) -> dict[str, Any]:
        taught, shares = zip(*rows, strict=True)
        return {"features": model.preprocess(list(taught)), "shares": torch.tensor(shares)}

    head = list(model[-1].parameters())
    body = [each for module in list(model)[:-1] for each in module.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": settings.learning_rate}, {"params": head, "lr": settings.head_learning_rate}],
        weight_decay=0.0, fused=True,
    )  # fmt: skip
    arguments = TrainingArguments(
        **trainer_arguments(settings, scratch),
        per_device_train_batch_size=settings.batch_size,
        remove_unused_columns=False,
    )
    return HeadTrainer(
        model=model, args=arguments, train_dataset=[(texts[index], float(labels[index])) for index in order.tolist()],
        data_collator=collate, optimizers=(optimizer, None), callbacks=[callback],
    )  # fmt: skip


def _weights(labels: Sequence[float], balanced: bool) -> tuple[float, float]:
    """Return what the answers yes and no weigh; balanced, the votes for either weigh half of all."""
    share = float(np.mean(labels))
    return (0.5 / share, 0.5 / (1 - share)) if balanced else (1.0, 1.0)


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1], train))
