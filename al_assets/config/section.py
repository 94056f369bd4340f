"""What every section of the policy file has: unknown keys are errors, and a fingerprint of what can change results."""

import difflib
import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PolicyError(ValueError):
    """The policy file is missing or wrong; the message names the field, the value and the way out."""


class _Operational:
    """Marks a setting that changes how fast or where work is done, never its result: left out of fingerprints."""


OPERATIONAL = _Operational()
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A section of the policy file: frozen, and an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for key in values:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(f"unknown key {key!r}; {hint}known keys: {', '.join(cls.model_fields)}")
        return values

    def fingerprint(self) -> str:
        """Return 12 hex digits that change when, and only when, a setting that can change results does."""
        return fingerprint_of(semantic(self))


def fingerprint_of(value: Any) -> str:
    """Return 12 hex digits of the SHA-256 of a JSON-serialisable value, independent of key order."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def semantic(value: Any) -> Any:
    """Return a value as plain data for JSON, without the settings that cannot change results."""
    if isinstance(value, BaseModel):
        return {
            name: semantic(getattr(value, name))
            for name, field in type(value).model_fields.items()
            if OPERATIONAL not in field.metadata
        }
    if isinstance(value, (list, tuple)):
        return [semantic(each) for each in value]
    return value
