"""Functions that are sent to other processes."""

import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_assets.curation.checks import CurationError


def square(part: int, plus: int) -> int:
    return part**2 + plus


def large(part: int, seconds: float) -> NDArray[np.int64]:
    time.sleep(seconds)
    # Large enough to stay in the object store of the node that made it.
    return np.full(200_000, part)


def refuse(part: int) -> int:
    if part == 2:
        raise CurationError("vectors: 1 of 2 rows hold NaN")
    return part


def die(part: int) -> int:
    os._exit(1)


def blas_threads(part: int) -> list[int]:
    from threadpoolctl import threadpool_info

    np.ones((64, 64)) @ np.ones((64, 64))
    found: list[dict[str, Any]] = threadpool_info()
    return [each["num_threads"] for each in found]


def started(part: int, folder: str) -> int:
    with open(f"{folder}/{part}", "w"):
        return part
