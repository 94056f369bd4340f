"""A database file that connections keep open: it has to stay the one that they opened."""

import os
from pathlib import Path


class KeptFile:
    """Notices when the file of open connections is moved, deleted or replaced: they would go on with the old one.

    :param path: where the file is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether it is still the file that was opened; true before any was."""
        return self._opened is None or self._opened == self._found()

    def note(self) -> None:
        """Take the file that is there for the one to stay, unless one was opened before."""
        self._opened = self._opened or self._found()

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino
