"""A language model as student: fine-tuned in a process of its own, then asked like any causal-LM labeler."""

import contextlib
import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import al_assets
from al_assets.config import CausalLMSettings, Policy, SFTStudent
from al_assets.models.labelers.causal_lm import CausalLMLabeler
from al_assets.models.labelers.prompts import PromptTemplate
from al_assets.models.students.record import Progress, StudentError, TrainingResult

_WORKER = "al_assets.models.students.sft_worker"
_SECONDS_TO_STOP = 10


def train_sft(
    settings: SFTStudent, texts: Sequence[str], labels: Sequence[float], directory: Path, policy: Policy,
    progress: Progress,
) -> TrainingResult:  # fmt: skip
    """Fine-tune in a subprocess, which gives all its memory back, and write a plain transformers directory.

    :raises StudentError: the training failed; the message ends with what the subprocess said last.
    """
    started = time.monotonic()
    _give_memory_back()
    PromptTemplate.parse(settings.prompt)
    base_model = policy.resolve_model(settings.base_model)
    spec: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "base_model": base_model,
        "texts": list(texts),
        "labels": list(labels),
        "directory": str(directory),
        "parent": os.getpid(),
    }
    with tempfile.TemporaryDirectory(prefix="al-sft-") as folder:
        file = Path(folder) / "spec.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        with (Path(folder) / "log").open("w+", encoding="utf-8", errors="replace") as log:
            command = [sys.executable, "-m", _WORKER, str(file)]
            worker = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=_environment(base_model)
            )
            try:
                losses, error = _follow(worker.stdout or (), progress)
                code = worker.wait()
            finally:
                _stop(worker)
            if code or error:
                log.seek(0)
                raise StudentError(_explain(settings, code, error, log.read()))
    steps, positive = sorted(losses), sum(label > 0.5 for label in labels)
    return TrainingResult([losses[step] for step in steps], steps, time.monotonic() - started, len(texts), positive)


class SFTLabeler(CausalLMLabeler):
    """A fine-tuned language model at work: the causal-LM labeler with the student's own short prompt."""

    def __init__(self, settings: SFTStudent, fingerprint: str, directory: Path) -> None:
        """Name the student's directory; it is loaded by the first ``score``."""
        asked = CausalLMSettings(
            kind="causal_lm", model=str(directory), prompt=settings.prompt, yes=settings.yes, no=settings.no,
            dtype=settings.dtype, max_tokens=settings.max_tokens, batch_size=settings.scoring_batch_size,
            device=settings.device,
        )  # fmt: skip
        super().__init__(asked, fingerprint, PromptTemplate.parse(settings.prompt), str(directory))


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


def _stop(worker: "subprocess.Popen[str]") -> None:
    if worker.poll() is None:
        worker.terminate()
        try:
            worker.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    if worker.stdout:
        worker.stdout.close()


def _explain(settings: SFTStudent, code: int, error: str, log: str) -> str:
    if code == -signal.SIGKILL and not error:
        return (
            f"student: training {settings.base_model!r} was killed, most likely for want of memory; lower "
            "student.batch_size or student.max_tokens, use method lora, or a smaller base_model"
        )
    said = error or "; ".join(log.strip().splitlines()[-3:]) or "no message"
    return f"student: training {settings.base_model!r} failed (exit status {code}): {said}"
