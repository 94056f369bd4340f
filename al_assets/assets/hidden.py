"""The hidden items of a queue: gold from the policy's file, repeats from what raters answered before."""

from datetime import UTC, datetime, timedelta

import polars as pl

from al_assets.assets.resource import LoopResource
from al_assets.curation.queue.hidden import draw_gold, draw_repeats, gold_twins, hidden_count
from al_assets.review.hidden_items import load_gold


def gold_in_pool(loop: LoopResource, pool: pl.DataFrame) -> list[str]:
    """Return the pool's items whose answer the gold file tells: they are never asked for a label."""
    gold = load_gold(loop.policy)
    return gold_twins(pool, gold) if gold.height else []


def hidden_items(loop: LoopResource, key: str, questions: int, now: datetime | None = None) -> pl.DataFrame:
    """Return the hidden items of an iteration's queue; none once it is published, whose hidden items stay.

    :param questions: items the queue asks a label for; the shares are of them, so nothing is hidden in an empty queue.
    :param now: repeats are drawn from answers that are old enough at this moment; None is the present.
    """
    policy, settings = loop.policy, loop.policy.selection
    with loop.ledger() as ledger:
        iterations = ledger.iterations()
        published = key in iterations
        earlier = [each for each in iterations if each < key]
        queue = ledger.queue().filter(pl.col("iteration") < key)
        votes, raters = ledger.votes(earlier), ledger.raters
    seed = settings.seed + int(key)
    gold = draw_gold(
        load_gold(policy),
        wanted=0 if published else hidden_count(settings.gold_share, questions),
        asked=queue,
        seed=seed,
    )
    repeats = draw_repeats(
        votes,
        queue,
        wanted=0 if published else hidden_count(settings.repeat_share, questions),
        raters=raters,
        version=policy.policy.version,
        before=(now or datetime.now(UTC)) - timedelta(days=settings.repeat_after_days),
        seed=seed,
    )
    return pl.concat([gold, repeats])
