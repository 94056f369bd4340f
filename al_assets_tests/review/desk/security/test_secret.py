"""The desk's key: made once, read by nobody else."""

import os
import resource
import threading
from pathlib import Path

import pytest

from al_assets.config import Policy
from al_assets.review.desk.security.secret import SECRET_VARIABLE, SecretError, desk_secret
from al_assets_tests.support.policies import make_policy


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Policy:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    return make_policy(f"sqlite:///{tmp_path}/x.sqlite").model_copy(update={"base_dir": tmp_path})


def test_the_key_is_made_once_and_for_its_owner_only(policy: Policy) -> None:
    key, file = desk_secret(policy), Path(policy.root) / "desk.key"
    assert len(key) == 32
    assert desk_secret(policy) == key
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["desk.key"]


def test_processes_that_start_together_agree(policy: Policy) -> None:
    barrier, found = threading.Barrier(6), set()

    def read() -> None:
        barrier.wait(10)
        found.add(desk_secret(policy))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert len(found) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_that_others_can_reach_is_refused(policy: Policy, mode: int) -> None:
    desk_secret(policy)
    file = Path(policy.root) / "desk.key"
    file.chmod(mode)
    with pytest.raises(SecretError, match=f"chmod 600 {file}"):
        desk_secret(policy)


def test_a_place_that_cannot_hold_a_key_is_named_with_the_way_out(policy: Policy) -> None:
    file = Path(policy.root) / "desk.key"
    file.mkdir(parents=True)
    with pytest.raises(SecretError, match=f"{file}: .*Is a directory.*set AL_DESK_KEY"):
        desk_secret(policy)
    file.rmdir()
    file.symlink_to(file.with_name("gone"))
    with pytest.raises(SecretError, match="No such file"):
        desk_secret(policy)


def test_a_full_disk_leaves_no_part_of_a_key(policy: Policy) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(SecretError, match=r"desk\.key: .*too large.*set AL_DESK_KEY"):
            desk_secret(policy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(Path(policy.root).iterdir()) == []
    assert len(desk_secret(policy)) == 32


@pytest.mark.parametrize("content", ["", "abc", "00" * 31, "00" * 33, "zz" * 32, "ü" * 64])
def test_a_damaged_key_is_refused(policy: Policy, content: str) -> None:
    desk_secret(policy)
    (Path(policy.root) / "desk.key").write_text(content, encoding="utf-8")
    with pytest.raises(SecretError, match="expected 64 hex digits"):
        desk_secret(policy)


def test_the_variable_goes_before_the_file(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "ab" * 32)
    assert desk_secret(policy) == b"\xab" * 32
    assert not os.path.exists(policy.root)
    monkeypatch.setenv(SECRET_VARIABLE, "short")
    with pytest.raises(SecretError, match=SECRET_VARIABLE):
        desk_secret(policy)


def test_a_remote_root_needs_the_variable(policy: Policy) -> None:
    remote = policy.model_copy(update={"storage": policy.storage.model_copy(update={"root": "memory://runs"})})
    with pytest.raises(SecretError, match="AL_DESK_KEY: not set, and 'memory://runs/spam' is not on this machine"):
        desk_secret(remote)
