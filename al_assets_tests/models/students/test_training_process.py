import contextlib
import os
from pathlib import Path

import pytest

from al_assets.config import Policy
from al_assets.models.students import StudentError, sft_worker, train_student
from al_assets_tests.models.students.test_sft import Lesson, recipe


@pytest.mark.slow
def test_a_failed_process_says_why(tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path) -> None:
    with pytest.raises(StudentError, match=r"failed \(exit status 1\): yes, no: .* cannot be told apart"):
        train_student(recipe(tiny_model, yes=" good", no=" good"), policy, *lesson, tmp_path)
    assert not (tmp_path / "student.json").exists()


@pytest.mark.slow
def test_stopping_the_caller_stops_the_training(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    def give_up(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_student(recipe(tiny_model, epochs=500), policy, *lesson, tmp_path, give_up)
    assert _workers_of(os.getpid()) == []
    assert not (tmp_path / "student.json").exists()


@pytest.mark.slow
def test_a_process_killed_from_outside_hints_at_memory(
    tiny_model: Path, policy: Policy, lesson: Lesson, tmp_path: Path
) -> None:
    import psutil

    def kill(done: int, total: int) -> None:
        # What it reported before its end may be read after it.
        with contextlib.suppress(psutil.NoSuchProcess):
            for worker in _workers_of(os.getpid()):
                os.kill(worker, 9)

    with pytest.raises(StudentError, match=r"was killed, most likely for want of memory; lower .* use method lora, or"):
        train_student(recipe(tiny_model, epochs=500), policy, *lesson, tmp_path, kill)


def _workers_of(parent: int) -> list[int]:
    import psutil

    children = psutil.Process(parent).children()
    return [child.pid for child in children if sft_worker.__name__ in " ".join(child.cmdline())]
