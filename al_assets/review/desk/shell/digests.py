"""Names that say nothing of what they name, to all who do not have the desk's key."""

import hmac
import json


def keyed_digest(key: bytes, *parts: str) -> str:
    """Return 64 hex digits (HMAC-SHA256): other parts or another key give others."""
    return hmac.digest(key, json.dumps(parts).encode(), "sha256").hex()
