"""The labelling function of the daemon tests: the demo's lexicon, counting its calls and stopping at a gate."""

import contextlib
import os
import sys
import time
from functools import cached_property
from pathlib import Path

from al_assets.demo.lexicon import strongly_negative as by_lexicon
from al_assets.storage.root import text_hash

GATE_VARIABLE = "AL_TEST_GATE"
_LONGEST_HOLD_SECONDS = 180


class Gate:
    """A folder through which a test watches and halts the labelling in another process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)

    def hold_from(self, call: int) -> None:
        """Let labelling halt at the given call, counted over all processes from 1."""
        self._held.write_text(str(call))

    def open(self) -> None:
        """Let labelling go on."""
        self._held.unlink(missing_ok=True)

    def pass_through(self, text: str) -> None:
        """Count a call and halt where the gate is held."""
        with self._log.open("a") as log:
            log.write(f"{text_hash(text)}\n")
        until = time.monotonic() + _LONGEST_HOLD_SECONDS
        while self.is_held and len(self.calls()) >= self._held_from:
            if time.monotonic() > until:
                raise TimeoutError(f"{self._held}: held for {_LONGEST_HOLD_SECONDS} s")
            time.sleep(0.1)

    @property
    def is_held(self) -> bool:
        """Tell whether labelling is to halt."""
        return self._held.exists()

    def calls(self) -> list[str]:
        """Return the hash of each text that was labelled, in order, repeated ones too."""
        return self._log.read_text().split() if self._log.exists() else []

    @property
    def _held_from(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return int(self._held.read_text())
        return sys.maxsize

    @cached_property
    def _held(self) -> Path:
        return self.folder / "held"

    @cached_property
    def _log(self) -> Path:
        return self.folder / "calls"


def strongly_negative(text: str) -> float:
    """Return what the demo's lexicon says of a text, after the gate that the environment names."""
    Gate(Path(os.environ[GATE_VARIABLE])).pass_through(text)
    return by_lexicon(text)
