import hashlib
import multiprocessing
import os
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from al_assets.demo import fetch
from al_assets.demo.fetch import FetchError, Package
from al_assets.storage.root import CACHE_VARIABLE, cache_directory

WHEEL = "tiny_texts-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index of one wheel, and an empty cache; pip sees nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("tiny_texts/data/a.txt", "alpha")
        wheel.writestr("tiny_texts/data/sub/b.txt", "beta")
        wheel.writestr("tiny_texts/code.py", "")
        wheel.writestr("tiny_texts-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-texts\nVersion: 1.0\n")
        wheel.writestr("tiny_texts-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_texts-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return folder


def package_of(index: Path, **changes: str) -> Package:
    sha256 = hashlib.sha256((index / WHEEL).read_bytes()).hexdigest()
    values = {"name": "tiny-texts", "version": "1.0", "sha256": sha256, **changes}
    return Package(values["name"], values["version"], values["sha256"])


def unpack(file: Path, target: Path) -> None:
    fetch._unzip(file, "tiny_texts/data/", target)


def slow_unpack(file: Path, target: Path) -> None:
    with (target.parent.parent / "unpacked.log").open("a") as log:
        log.write(f"{os.getpid()}\n")
    time.sleep(0.5)
    unpack(file, target)


def fetch_slowly(package: Package) -> None:
    assert (fetch.fetch(package, "tiny", slow_unpack) / "a.txt").read_text() == "alpha"


def fetch_and_die(package: Package) -> None:
    def die(file: Path, target: Path) -> None:
        (target / "half.txt").write_text("half")
        os._exit(9)

    fetch.fetch(package, "tiny", die)


def test_fetches_once_and_unpacks_what_is_wanted(index: Path) -> None:
    package = package_of(index)
    folder = fetch.fetch(package, "tiny", unpack)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {"a.txt", "sub/b.txt"}
    (index / WHEEL).unlink()
    assert fetch.fetch(package, "tiny", unpack) == folder
    assert [path.name for path in folder.parent.iterdir() if not path.name.endswith(".lock")] == [folder.name]


def test_concurrent_callers_wait_for_the_first(index: Path, tmp_path: Path) -> None:
    package = package_of(index)
    spawn = multiprocessing.get_context("spawn")
    callers = [spawn.Process(target=fetch_slowly, args=(package,)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [caller.exitcode for caller in callers] == [0, 0, 0]
    assert len((tmp_path / "cache" / "unpacked.log").read_text().splitlines()) == 1


def test_a_killed_fetch_leaves_nothing_that_looks_complete(index: Path) -> None:
    package = package_of(index)
    victim = multiprocessing.get_context("spawn").Process(target=fetch_and_die, args=(package,))
    victim.start()
    victim.join()
    assert victim.exitcode == 9
    assert len(list(cache_directory().glob(".partial-*"))) == 1
    folder = fetch.fetch(package, "tiny", unpack)
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", "sub"]
    assert not list(cache_directory().glob(".partial-*"))


def test_a_file_with_another_sum_is_refused(index: Path) -> None:
    with pytest.raises(FetchError, match=r"tiny-texts==1.0: the index serves a file whose SHA-256 is not 0{64}"):
        fetch.fetch(package_of(index, sha256="0" * 64), "tiny", unpack)
    assert not [path for path in cache_directory().iterdir() if path.is_dir()]


def test_without_an_index_the_error_says_what_to_do(index: Path) -> None:
    package = package_of(index, version="2.0")
    with pytest.raises(FetchError, match=r"tiny-texts==2.0: pip could not download it .*No matching.*AL_CACHE"):
        fetch.fetch(package, "tiny", unpack)


def test_without_a_network_the_error_says_what_to_do(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(FetchError, match=r"tiny-texts==1.0: pip could not download it .*check the network"):
        fetch.fetch(package_of(index), "tiny", unpack)


def test_without_pip_the_error_says_how_to_get_it(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(FetchError, match="has no pip; run '.*python -m ensurepip'"):
        fetch.fetch(package_of(index), "tiny", unpack)


def test_a_cache_that_cannot_be_written_is_named(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(FetchError, match=textwrap.dedent(rf"AL_CACHE: cannot write {tmp_path}/file/cache/tiny-1.0-")):
        fetch.fetch(package_of(index), "tiny", unpack)


def test_the_real_texts_and_embedders_arrive() -> None:
    assert (fetch.vader_texts() / "tweets_GroundTruth.txt").stat().st_size == 389_886
    assert (fetch.static_model_directory() / "model.safetensors").stat().st_size == 3_956_152
    assert (fetch.minilm_directory() / "1_Pooling" / "config.json").is_file()


@pytest.mark.slow
def test_the_real_language_model_loads(capfd: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(fetch.smollm2_directory())
    assert model.num_parameters() == 134_515_008
