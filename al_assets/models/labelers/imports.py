"""Objects named as ``module:name`` in the policy file."""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from al_assets.models.labelers.protocol import LabelerError

IMPORT_PATH = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")


def load_object(setting: str, path: str, base_dir: Path) -> Any:
    """Import ``module:name``; modules beside the policy file are found too.

    :param setting: name of the setting, for the error.
    :raises LabelerError: the path is malformed, or module or name do not exist.
    """
    if not IMPORT_PATH.match(path):
        raise LabelerError(f"{setting}: {path!r} is not of the form 'package.module:name'")
    module_name, _, name = path.partition(":")
    with _importable(base_dir):
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise LabelerError(
                f"{setting}: {path!r} cannot be imported: {error}; install the package that holds it, or put the "
                f"module beside the policy file, in {base_dir}"
            ) from error
    if not hasattr(module, name):
        raise LabelerError(f"{setting}: module {module_name!r} ({module.__file__}) has no {name!r}")
    return getattr(module, name)


@contextmanager
def _importable(base_dir: Path) -> Iterator[None]:
    entry = str(base_dir.resolve())
    sys.path.append(entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
