"""Reads and checks policy files; what is wrong is said by field, with the way out."""

import os
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from al_assets.config.policy import Policy
from al_assets.config.section import PolicyError, Section

POLICY_VARIABLE = "AL_POLICY"
_Sections = TypeVar("_Sections", bound=Section)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Read and check a policy file; ``${NAME}`` in a value is replaced by the environment variable.

    :raises PolicyError: missing, unreadable or wrong; one line per mistake.
    """
    return load_sections(path, Policy, "policy file", f"write one with 'al init {Path(path).name}'")


def load_sections(path: str | os.PathLike[str], model: type[_Sections], what: str, way_out: str) -> _Sections:
    """Read and check a YAML file of sections; its folder becomes ``base_dir``.

    :param what: what the file is called in messages, and in ``way_out`` what to do where there is none.
    :raises PolicyError: missing, unreadable or wrong; one line per mistake.
    """
    file = Path(path).expanduser().resolve()
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PolicyError(f"{file}: no such {what}; {way_out}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{file}: cannot be read as UTF-8 YAML: {error}") from error
    if not isinstance(raw, dict):
        known = [name for name in model.model_fields if name != "base_dir"]
        raise PolicyError(
            f"{file}: expected sections such as '{known[0]}:' and '{known[1]}:', found {type(raw).__name__}"
        )
    try:
        return model.model_validate({**_expand(raw, ""), "base_dir": file.parent})
    except ValidationError as error:
        raise PolicyError("\n".join(_explain(file, what, each) for each in error.errors())) from None


def policy_from_environment() -> Policy:
    """Load the policy that ``AL_POLICY`` names.

    :raises PolicyError: the variable is not set, or the file is wrong.
    """
    path = os.environ.get(POLICY_VARIABLE)
    if not path:
        raise PolicyError(f"{POLICY_VARIABLE}: not set; point it at a policy file ('al init policy.yaml' writes one)")
    return load_policy(path)


def _expand(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _expand(each, f"{where}.{key}".lstrip(".")) for key, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, f"{where}.{index}") for index, each in enumerate(value)]
    if not isinstance(value, str):
        return value

    def substitute(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise PolicyError(f"{where}: {value!r} needs the environment variable {name}, which is not set")
        return os.environ[name]

    return _VARIABLE.sub(substitute, value)


def _explain(file: Path, what: str, error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or what
    value = error.get("input")
    shown = "" if isinstance(value, (dict, BaseModel)) or error["type"] == "missing" else f" (found {value!r})"
    message = str(error["msg"]).removeprefix("Value error, ")
    # Bare words that YAML takes for truth values, as in ``labels: {positive: yes}``.
    hint = "; put it in quotes" if isinstance(value, bool) and error["type"] == "string_type" else ""
    return f"{file}: {where}: {message}{shown}{hint}"
