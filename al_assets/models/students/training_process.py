"""Training in a process of its own: both ends of it, and what every such training tells its trainer.

The parent writes ``SPEC.json`` and reads one JSON object a line from the worker's stdout: ``{"step", "steps", "loss"}``
after each optimiser step, or ``{"error"}``.
"""

import contextlib
import ctypes
import gc
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import al_assets
from al_assets.config import EncoderStudent, Policy, SFTStudent
from al_assets.models.students.record import Progress, StudentError, TrainingResult

if TYPE_CHECKING:
    from transformers import TrainerCallback

_SECONDS_TO_STOP = 10
Report = Callable[[dict[str, Any]], None]


class TrainingError(ValueError):
    """The training cannot go on; the message says why and what to change."""


class TrainingTask(NamedTuple):
    """What a worker is to do.

    :param settings: the student's, as plain data.
    :param base_model: directory or model hub name of the weights to begin with.
    :param started: they are those of an earlier student of this kind.
    :param labels: share of positive among the votes of each text, 0 to 1.
    :param parent: process whose end ends the training.
    """

    settings: dict[str, Any]
    base_model: str
    started: bool
    texts: Sequence[str]
    labels: Sequence[float]
    directory: str
    parent: int


def train_in_process(
    worker: str, settings: SFTStudent | EncoderStudent, texts: Sequence[str], labels: Sequence[float], directory: Path,
    policy: Policy, progress: Progress, start: Path | None,
) -> TrainingResult:  # fmt: skip
    """Train in a subprocess, which gives all its memory back, and write a checkpoint directory.

    :param worker: the module to run; it calls ``serve``.
    :param start: directory of an earlier student of this kind, whose weights take the base model's place.
    :raises StudentError: the training failed; the message ends with what the subprocess said last.
    """
    started = time.monotonic()
    _give_memory_back()
    base_model = str(start or policy.resolve_model(settings.base_model))
    values = settings.model_dump(mode="json")
    task = TrainingTask(values, base_model, start is not None, list(texts), list(labels), str(directory), os.getpid())
    with tempfile.TemporaryDirectory(prefix="al-student-") as folder:
        file = Path(folder) / "spec.json"
        file.write_text(json.dumps(task._asdict()), encoding="utf-8")
        with (Path(folder) / "log").open("w+", encoding="utf-8", errors="replace") as log:
            command = [sys.executable, "-m", worker, str(file)]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment(base_model)
            )
            try:
                losses, error = _follow(process.stdout or (), progress)
                code = process.wait()
            finally:
                _stop(process)
            if code or error:
                log.seek(0)
                raise StudentError(_explain(settings, code, error, log.read()))
    steps, positive = sorted(losses), sum(label > 0.5 for label in labels)
    return TrainingResult([losses[step] for step in steps], steps, time.monotonic() - started, len(texts), positive)


def _give_memory_back() -> None:
    """Return what closed models freed to the system; glibc would keep it, and the training needs it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _environment(base_model: str) -> dict[str, str]:
    package_parent = str(Path(al_assets.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")]))
    # cuBLAS repeats its sums in the same order only with a fixed workspace.
    chosen = {"PYTHONPATH": path, "TOKENIZERS_PARALLELISM": "false", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    if Path(base_model).is_dir():
        chosen["HF_HUB_OFFLINE"] = "1"
    return {**os.environ, **chosen}


def _follow(lines: Iterable[str], progress: Progress) -> tuple[dict[int, float], str]:
    losses: dict[int, float] = {}
    error = ""
    for line in lines:
        event: dict[str, Any] = json.loads(line)
        error = event.get("error", error)
        if "steps" in event:
            progress(event["step"], event["steps"])
        if "loss" in event:
            losses[event["step"]] = event["loss"]
    return losses, error


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def _explain(settings: SFTStudent | EncoderStudent, code: int, error: str, log: str) -> str:
    if code == -signal.SIGKILL and not error:
        lighter = "use method lora, " if isinstance(settings, SFTStudent) else ""
        return (
            f"student: training {settings.base_model!r} was killed, most likely for want of memory; lower "
            f"student.batch_size or student.max_tokens, {lighter}or take a smaller base_model"
        )
    said = error or "; ".join(log.strip().splitlines()[-3:]) or "no message"
    return f"student: training {settings.base_model!r} failed (exit status {code}): {said}"


def serve(spec_file: str, train: Callable[[TrainingTask, Report], None]) -> int:
    """Be the worker: train as the specification says; return the exit status."""
    # Libraries print; what the parent reads must be ours alone.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(event: dict[str, Any]) -> None:
        channel.write(json.dumps(event) + "\n")
        channel.flush()

    try:
        train(TrainingTask(**json.loads(Path(spec_file).read_text(encoding="utf-8"))), report)
    except ValueError as error:
        report({"error": str(error)})
        return 1
    return 0


def be_deterministic(seed: int) -> None:
    """Make what torch does next repeat itself to the last bit on this machine."""
    import torch
    from transformers import set_seed

    set_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # What it would find, reads of memory never written, is torch's to test; filling that memory costs time.
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False


def trainer_arguments(settings: SFTStudent | EncoderStudent, scratch: str) -> dict[str, Any]:
    """Return arguments of a trainer whose rows come in ``training_order``, all epochs of them."""
    return {
        "output_dir": scratch,
        "num_train_epochs": 1,
        "train_sampling_strategy": "sequential",
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": settings.warmup_share,
        "max_grad_norm": 1.0,
        "use_cpu": settings.device == "cpu",
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "dataloader_pin_memory": False,
    }


def make_reporter(report: Report, parent: int, way_out: str) -> "TrainerCallback":
    """Return a callback that reports each step and ends a training that is lost or that nobody waits for.

    :param way_out: what to change when the loss is no longer a number.
    """
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
                step = f"step {state.global_step} of {state.max_steps}"
                raise TrainingError(f"student: the loss was {loss} at {step}; {way_out}")
            report({"step": state.global_step, "steps": state.max_steps, "loss": loss})

    return Reporter()
