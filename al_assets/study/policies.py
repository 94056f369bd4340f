"""A policy around the one part of it that a model looks at."""

from collections.abc import Mapping
from typing import Any

from al_assets.config import Policy

_UNUSED = {"model": "unused"}


def policy_of(asked: Mapping[str, Any], **sections: Any) -> Policy:
    """Return a policy of these sections; those that are not given are placeholders that nobody looks at.

    :param asked: the section ``policy`` but for its name.
    """
    return Policy.model_validate(
        {
            "policy": {"name": "study", "question": "none", "guideline": "none", **asked},
            "pool": {"path": "unused"},
            "labeler": {"kind": "keywords", "positive": ["unused"]},
            "embedding": _UNUSED,
            "student": {"kind": "linear", "embedding": _UNUSED},
            "review": {"raters": ["first", "second"]},
            **sections,
        }
    )
