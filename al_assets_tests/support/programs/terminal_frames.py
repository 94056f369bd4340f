"""What a terminal shows while a command runs, as text frames in a Markdown file.

    python -m al_assets_tests.support.programs.terminal_frames docs/demo-terminal.md --every 60 -- al demo

The command runs in a pseudo-terminal of 100 columns and 30 lines; its screen is read by a terminal emulator.
"""

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyte

COLUMNS, LINES = 100, 30
RECORDER = "support/programs/terminal_frames.py"


def frames(command: Sequence[str], every: float) -> Iterator[tuple[float, str]]:
    """Run a command and yield (seconds since its start, what the screen shows), every so often and at its end.

    :raises subprocess.CalledProcessError: the command failed; the last frame shows why.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    screen = pyte.Screen(COLUMNS, LINES)
    stream, began, due = pyte.ByteStream(screen), time.monotonic(), every
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment, close_fds=True)
    os.close(its)
    try:
        while True:
            since = time.monotonic() - began
            if since >= due:
                yield since, shown(screen)
                due += every
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                read = os.read(ours, 65_536)
            except OSError:
                # Linux says so when the other end is closed.
                break
            if not read:
                break
            stream.feed(read)
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
    yield time.monotonic() - began, shown(screen)
    if code:
        raise subprocess.CalledProcessError(code, command)


def shown(screen: "pyte.Screen") -> str:
    """Return the lines of a screen, without the empty ones at its end."""
    return "\n".join(line.rstrip() for line in screen.display).rstrip()


def main() -> None:
    """Write the frames of a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--every", type=float, default=60)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    written = [f"# What `{' '.join(given.command)}` shows\n\nRecorded by `al_assets_tests/{RECORDER}`.\n"]
    try:
        for seconds, screen in frames(given.command, given.every):
            minutes, rest = divmod(round(seconds), 60)
            written.append(f"After {minutes}:{rest:02d}:\n\n```text\n{screen}\n```\n")
            given.file.write_text("\n".join(written), encoding="utf-8")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{written[-1]}")


if __name__ == "__main__":
    main()
