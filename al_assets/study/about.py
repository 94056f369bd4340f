"""What a study was run with: its file, the machine, the versions."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from al_assets.curation.runner import THREADS

LIBRARIES = ("al_assets", "numpy", "scikit-learn", "polars", "torch", "transformers", "trl", "sentence-transformers")


def machine() -> str:
    """Return the processor, how many cores this process may use, and the system."""
    return f"{_processor()}, {THREADS.count} cores, {platform.system()}, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Return the installed versions of what figures depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
