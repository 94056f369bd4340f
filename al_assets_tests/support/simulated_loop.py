"""A small simulated loop: a pool, a queue of every kind of item, experts with known noise, a student of known skill."""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class World:
    """The frames a report is made from, and the truth behind them."""

    votes: pl.DataFrame
    split: pl.DataFrame
    scores: pl.DataFrame
    prevalence: float


def make_world(
    *, seed: int = 0, items: int = 400, skill: float = 1.5, noise: float = 0.6, raters: int = 3, prevalence: float = 0.2
) -> World:
    """Simulate a loop of three iterations: half the queue boundary pairs, the rest audit and control."""
    generator = np.random.default_rng(seed)
    size = 6_000
    latent = generator.normal(size=size)
    cut = float(np.quantile(latent, 1 - prevalence))
    student = 1 / (1 + np.exp(-(skill * (latent - cut) + generator.normal(size=size))))
    incumbent = 1 / (1 + np.exp(-(0.7 * (latent - cut) + generator.normal(size=size))))
    incumbent_label = incumbent >= np.quantile(incumbent, 1 - prevalence)
    opinions = latent[:, None] + noise * generator.normal(size=(size, raters)) > cut

    strata = np.minimum((incumbent.argsort().argsort() * 5) // size, 4)
    audit_each = items // 20
    audit = np.concatenate(
        [generator.choice(np.flatnonzero(strata == each), audit_each, replace=False) for each in range(5)]
    )
    rest = np.setdiff1d(np.arange(size), audit)
    control = generator.choice(rest, items // 4, replace=False)
    near = rest[np.argsort(np.abs(latent[rest] - cut))]
    boundary = near[~np.isin(near, control)][: items - len(audit) - len(control)]
    rows = []
    chance = (audit_each + items // 20) / (size // 5) / 3
    for reason, chosen in (("audit", audit), ("control", control), ("boundary", boundary)):
        for place, item in enumerate(chosen):
            rows.append(
                {
                    "item_id": f"i{item:05d}",
                    "index": int(item),
                    "iteration": f"{place % 3:04d}",
                    "reason": reason,
                    "group_id": f"p{place // 2:04d}" if reason == "boundary" else f"i{item:05d}",
                    "stratum": f"s{strata[item]}" if reason != "boundary" else None,
                    "stratum_size": size // 5 if reason != "boundary" else None,
                    "inclusion_probability": chance if reason != "boundary" else None,
                }
            )
    queue = pl.DataFrame(rows, infer_schema_length=None)
    votes = pl.concat(
        [
            queue.with_columns(
                rater=pl.lit(f"r{rater}"),
                label=pl.Series(
                    [
                        "undecided" if generator.random() < 0.02 else "positive" if opinions[i, rater] else "negative"
                        for i in queue["index"]
                    ]
                ),
            )
            for rater in range(raters)
        ]
    ).drop("index")
    split = queue.select("item_id", "reason", "iteration").with_columns(
        split=pl.when(pl.col("iteration") == "0000").then(pl.lit("panel")).otherwise(pl.lit("evaluation"))
    )
    chosen = queue["index"].to_numpy()
    stop = generator.choice(size, 2_000, replace=False)

    def scored(role: str, which: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "item_id": [f"i{item:05d}" for item in which],
                "role": [role] * len(which),
                "p_student": student[which],
                "p_incumbent": incumbent[which],
                "incumbent_label": incumbent_label[which],
            }
        )

    scores = pl.concat([scored("evaluation", chosen), scored("stop_set", stop)])
    return World(votes, split, scores, float(opinions.mean()))
