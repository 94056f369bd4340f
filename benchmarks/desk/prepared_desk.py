"""A desk to load: a policy file, a published queue, and raters who have been invited."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from al_assets.config import Policy, load_policy
from al_assets.review.desk.people import changes
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.rating.round import QuestionId, question_code
from al_assets.review.desk.shell.access import Role
from al_assets.storage.ledger import Ledger
from al_assets.tables import REVIEW_QUEUE

ITERATION = "0000"
VOTES_PER_ITEM = 2
_TEXT = (
    "the delivery came late again and nobody answered my mail about it so I asked for my money back which took weeks "
    "but the new one works better than I thought and the people at the counter were kind to my mother when she called"
)


@dataclass(frozen=True)
class PreparedDesk:
    """A prepared desk.

    :param links: the path of each rater's invitation, by name.
    """

    policy_file: Path
    policy: Policy
    links: dict[str, str]


def prepare_desk(folder: Path, ledger_url: str, raters: int, items: int, seed: int) -> PreparedDesk:
    """Write a policy, publish a queue of some items and invite the raters.

    :param folder: must exist.
    """
    names = [f"rater_{number:02d}" for number in range(raters)]
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(_policy(names, ledger_url)), encoding="utf-8")
    policy = load_policy(file)
    with Ledger.of(policy) as ledger, PeopleStore.of(policy) as people:
        ledger.publish(ITERATION, _queue(items, seed), {"bench": "desk"})
        tokens = {name: changes.invite(people, ledger, name, (Role.RATER,), "benchmarks desk") for name in names}
    return PreparedDesk(file, policy, {name: f"/join/{token}" for name, token in tokens.items()})


def _policy(raters: list[str], ledger_url: str) -> dict[str, object]:
    return {
        "policy": {
            "name": "bench_desk",
            "question": "Does the customer complain?",
            "guideline": "Answer yes where the text says that something went wrong and was not put right.",
        },
        "pool": {"path": "pool.jsonl"},
        "labeler": {"kind": "functions", "functions": ["builtins:float"]},
        "embedding": {"model": "none"},
        "review": {"raters": raters, "votes_per_item": VOTES_PER_ITEM},
        "student": {"kind": "linear", "embedding": {"model": "none"}},
        "storage": {"root": "runs", "ledger_url": ledger_url},
    }


def _queue(items: int, seed: int) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(_TEXT.split(), size)) for size in generator.integers(8, 60, items)]
    ids = [f"item{number:06d}" for number in range(items)]
    known = pl.DataFrame({"item_id": ids, "group_id": ids, "text": texts}).with_columns(
        reason=pl.lit("boundary"), inclusion_probability=pl.lit(1.0), revision=pl.lit(0, pl.Int64)
    )
    return pl.concat([REVIEW_QUEUE.empty(), known], how="diagonal")


@dataclass(frozen=True)
class LedgerCheck:
    """The ledger after a run.

    :param lost: answers that a page called saved and that are not on record.
    :param doubled: rows on record beyond one for each rater and question.
    :param too_many: votes beyond those that the policy asks for each item; each cost a rater's time.
    """

    votes: int
    lost: int
    doubled: int
    too_many: int


def check_ledger(desk: PreparedDesk, key: bytes, accepted: Sequence[tuple[str, str]]) -> LedgerCheck:
    """Compare the ledger's whole history with what the raters were told.

    :param key: the desk's.
    :param accepted: (rater, form's action) of every answer that a page called saved.
    """
    with Ledger.of(desk.policy) as ledger:
        rows = ledger.history().select("rater", "item_id").rows()
    recorded = Counter((rater, _action(desk, key, rater, item)) for rater, item in rows)
    items = Counter(item for _, item in set(rows))
    return LedgerCheck(
        votes=len(rows),
        lost=sum(answer not in recorded for answer in set(accepted)),
        doubled=sum(count - 1 for count in recorded.values()),
        too_many=sum(max(0, count - VOTES_PER_ITEM) for count in items.values()),
    )


def _action(desk: PreparedDesk, key: bytes, rater: str, item: str) -> str:
    return f"/questions/{question_code(key, desk.policy.policy.name, QuestionId(ITERATION, item), rater)}/answer"
