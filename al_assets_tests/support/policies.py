"""The least that a policy needs, with sections of a test's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from upath import UPath

from al_assets.config import Policy
from al_assets_tests.support.ledger import RATERS

RUDE = {
    "name": "rude",
    "question": "Is this strongly negative?",
    "guideline": "A remark is strongly negative when its writer is hostile or disgusted.",
}


def with_sections(content: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a policy file's content with sections merged into its own; one that names a kind replaces the old one."""
    merged = dict(content)
    for name, section in sections.items():
        merged[name] = dict(section) if "kind" in section else {**content.get(name, {}), **section}
    return merged


def policy_content(**sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a short policy file that names no model which is there."""
    content: dict[str, dict[str, Any]] = {
        "policy": {"name": "spam", "question": "Spam?", "guideline": "Spam sells."},
        "pool": {"path": "pool.jsonl"},
        "labeler": {"kind": "functions", "functions": ["module:function"]},
        "embedding": {"model": "m"},
        "review": {"raters": list(RATERS)},
        "student": {"kind": "linear", "embedding": {"model": "m"}},
    }
    return with_sections(content, sections)


def make_policy(url: str, **policy: Any) -> Policy:
    """Return a policy whose votes lie in a ledger of their own."""
    return Policy.model_validate(policy_content(policy=policy, storage={"ledger_url": url}))


def policy_in(folder: Path, **sections: Mapping[str, Any]) -> Policy:
    """Return a policy as if its file lay in a folder."""
    return Policy.model_validate({**policy_content(**sections), "base_dir": folder})


def write(folder: Path | UPath, name: str, content: str | bytes) -> Path:
    file = Path(str(folder)) / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file
