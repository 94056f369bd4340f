"""The desk's key: what cookies, forms and question codes are signed with."""

import os
import secrets
from pathlib import Path

from al_assets.config import Policy
from al_assets.storage.root import RunRoot

KEY_VARIABLE = "AL_DESK_KEY"
KEY_BYTES = 32


class KeyFileError(ValueError):
    """There is no key that can be trusted; the message says why and the way out."""


def desk_key(policy: Policy) -> bytes:
    """Return the key: from ``AL_DESK_KEY`` if set, else from a file under the policy's root, made when missing.

    :raises KeyFileError: the variable or the file is wrong, others can read the file, it cannot be made, or the root is
        remote.
    """
    text = os.environ.get(KEY_VARIABLE)
    if text is not None:
        return _decoded(text, KEY_VARIABLE)
    root = RunRoot(policy.root)
    if not root.is_local:
        raise KeyFileError(
            f"{KEY_VARIABLE}: not set, and {policy.root!r} is not on this machine; set it to {2 * KEY_BYTES} random "
            "hex digits, such as those of: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    path = root.local_path("desk.key")
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise KeyFileError(
            f"{path}: the desk's key cannot be kept there ({error.strerror or error}); mend that, or set "
            f"{KEY_VARIABLE} to {2 * KEY_BYTES} random hex digits"
        ) from error


def _make(path: Path) -> None:
    """Write a new key, or leave the one that another process has just written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(KEY_BYTES) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        # Unlike a rename, a link never replaces a key that is in use.
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    with path.open(encoding="ascii") as stream:
        if others := os.fstat(stream.fileno()).st_mode & 0o077:
            raise KeyFileError(f"{path}: others can read or write it (mode {others:03o}); run: chmod 600 {path}")
        try:
            return _decoded(stream.read(), str(path))
        except UnicodeDecodeError:
            raise KeyFileError(_malformed(str(path))) from None


def _decoded(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        raise KeyFileError(_malformed(where)) from None
    if len(key) != KEY_BYTES:
        raise KeyFileError(_malformed(where))
    return key


def _malformed(where: str) -> str:
    return (
        f"{where}: expected {2 * KEY_BYTES} hex digits; put back the key, or make a new one, which signs everybody out"
    )
