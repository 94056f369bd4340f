"""Rows of studies whose answers are known."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from al_assets.study.report.result_rows import checked_rows

Row = dict[str, Any]
Level = Callable[[int, float], float]
"""Kappa by seed and labels."""


def row(strategy: str, seed: int, number: int, labels: int, kappa: float | None, **more: Any) -> Row:
    return {
        "dataset": "texts",
        "strategy": strategy,
        "student": "small",
        "embedding": "minilm",
        "seed": seed,
        "round": number,
        "labels": labels,
        "kappa": kappa,
        "kappa_boundary": None if kappa is None else kappa - 0.1,
        "average_precision": 0.5,
        "positive_share": 0.3,
        "seconds": 2.0,
        "budget": 100,
        "votes": 2 * labels,
        **more,
    }


def curve(strategy: str, seeds: Sequence[int], labels: Sequence[int], kappa: Level, **more: Any) -> list[Row]:
    return [
        row(strategy, seed, number, each, kappa(seed, each), **more)
        for seed in seeds
        for number, each in enumerate(labels)
    ]


def crowd(seeds: Sequence[int], sizes: Sequence[int], kappa: Level, **more: Any) -> list[Row]:
    rows = curve("crowd", seeds, sizes, kappa, **more)
    return [{**each, "votes": each["labels"], "embedding": "none", "budget": 0} for each in rows]


def frame(*parts: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return checked_rows(pl.DataFrame([each for part in parts for each in part], infer_schema_length=None))
