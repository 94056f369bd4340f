"""A policy and files of votes for the tests of the exchange."""

from pathlib import Path
from typing import Any

from upath import UPath

from al_assets.config import Policy
from al_assets_tests.support.ledger import RATERS


def make_policy(url: str, **policy: Any) -> Policy:
    return Policy.model_validate(
        {
            "policy": {"name": "spam", "question": "Spam?", "guideline": "Spam sells.", **policy},
            "pool": {"path": "pool.jsonl"},
            "labeler": {"kind": "functions", "functions": ["module:function"]},
            "embedding": {"model": "m"},
            "review": {"raters": list(RATERS)},
            "student": {"kind": "linear", "embedding": {"model": "m"}},
            "storage": {"ledger_url": url},
        }
    )


def write(folder: Path | UPath, name: str, content: str | bytes) -> Path:
    file = Path(str(folder)) / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file
