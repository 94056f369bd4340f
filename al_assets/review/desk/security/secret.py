"""Secrets: the desk's own, by which cookies, forms and codes are signed, and the tokens that open the desk."""

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from al_assets.config import Policy
from al_assets.storage.root import RunRoot

SECRET_VARIABLE = "AL_DESK_KEY"
SECRET_BYTES = 32
TOKEN_BYTES = 32


class SecretError(ValueError):
    """There is no key that can be trusted; the message says why and the way out."""


def desk_secret(policy: Policy) -> bytes:
    """Return the key: from ``AL_DESK_KEY`` if set, else from a file under the policy's root, made when missing.

    :raises SecretError: the variable or the file is wrong, others can read the file, it cannot be made, or the root is
        remote.
    """
    text = os.environ.get(SECRET_VARIABLE)
    if text is not None:
        return _decoded(text, SECRET_VARIABLE)
    root = RunRoot(policy.root)
    if not root.is_local:
        raise SecretError(
            f"{SECRET_VARIABLE}: not set, and {policy.root!r} is not on this machine; set it to {2 * SECRET_BYTES} "
            "random hex digits, such as those of: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    path = root.local_path("desk.key")
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise SecretError(
            f"{path}: the desk's key cannot be kept there ({error.strerror or error}); mend that, or set "
            f"{SECRET_VARIABLE} to {2 * SECRET_BYTES} random hex digits"
        ) from error


def keyed_digest(secret: bytes, *parts: str) -> str:
    """Return a name of 64 hex digits (HMAC-SHA256) that says nothing of its parts to those without the secret."""
    return hmac.digest(secret, json.dumps(parts).encode(), "sha256").hex()


def new_token() -> str:
    """Return a secret of 256 random bits, as 43 characters that can stand in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Return what is stored of a secret: its SHA-256.

    A slow hash would add nothing: nobody guesses 256 random bits.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _make(path: Path) -> None:
    """Write a new key, or leave the one that another process has just written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(SECRET_BYTES) + "\n")
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
            raise SecretError(f"{path}: others can read or write it (mode {others:03o}); run: chmod 600 {path}")
        try:
            return _decoded(stream.read(), str(path))
        except UnicodeDecodeError:
            raise SecretError(_malformed(str(path))) from None


def _decoded(text: str, where: str) -> bytes:
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        raise SecretError(_malformed(where)) from None
    if len(secret) != SECRET_BYTES:
        raise SecretError(_malformed(where))
    return secret


def _malformed(where: str) -> str:
    expected = f"expected {2 * SECRET_BYTES} hex digits"
    return f"{where}: {expected}; put back the key, or make a new one, which signs everybody out"
