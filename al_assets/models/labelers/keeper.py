"""Run a server for as long as a parent lives: ``python keeper.py COMMAND ...``, started as leader of its own group.

Standard input is a pipe from the parent that nothing is ever written to. When it ends, because the parent closed it,
was killed or crashed, the whole process group is stopped: a killed labelling step leaves no server behind that holds a
GPU. Only the standard library is used, so starting it costs nothing.
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 15


def main(command: list[str]) -> None:
    """Run the command until it ends or standard input does, then stop everything in this process group."""
    # The group's SIGTERM, sent below or by others, is for the server; the keeper stays until it is gone.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    code = server.wait()
    sys.stderr.write(f"keeper: the server ended with code {code}\n")
    sys.stderr.flush()
    # What the server started may have outlived it. This ends the keeper too.
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _stop_with_parent(server: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    os.killpg(os.getpgrp(), signal.SIGTERM)
    try:
        server.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    if os.getpgrp() != os.getpid():
        sys.exit("keeper: must lead its own process group; start it with start_new_session=True")
    main(sys.argv[1:])
