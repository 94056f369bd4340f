"""The folder of this user that keeps what can be fetched again."""

import os
from pathlib import Path

CACHE_VARIABLE = "AL_CACHE"


def cache_directory() -> Path:
    """Return the folder for downloads: ``AL_CACHE``, or ``~/.cache/al_assets``."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/al_assets").expanduser().absolute()
