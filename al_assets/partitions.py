"""Iterations: the jobs that make them, and their keys, zero-padded because Dagster backfills run in lexical order."""

import re
from enum import StrEnum

PARTITIONS_NAME = "iteration"
FIRST_KEY = "0000"


class Job(StrEnum):
    """What an iteration is made by: ``report`` is a job of its own only where check items are asked in between."""

    CURATE = "curate"
    LEARN = "learn"
    REPORT = "report"


_KEY = re.compile(r"[0-9]{4}")


def iteration_key(number: int) -> str:
    """Return the partition key of an iteration.

    :param number: 0 to 9999.
    :raises ValueError: outside that range.
    """
    if not 0 <= number <= 9999:
        raise ValueError(f"iteration: {number} is out of range; iterations run from 0 to 9999")
    return f"{number:04d}"


def iteration_number(key: str) -> int:
    """Return the number of an iteration key such as ``"0003"``.

    :raises ValueError: the key is not four digits.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"iteration: {key!r} is not an iteration key; expected four digits, such as '0003'")
    return int(key)


def previous_key(key: str) -> str | None:
    """Return the key before, or None for the first iteration."""
    number = iteration_number(key)
    return iteration_key(number - 1) if number else None


def next_key(key: str) -> str:
    """Return the key of the iteration that follows."""
    return iteration_key(iteration_number(key) + 1)
