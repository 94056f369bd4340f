"""The ledger of one policy: publish what is asked, record votes, read both as of any moment."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import polars as pl
from sqlalchemy import Connection, select

from al_assets.config import Policy, PolicyText
from al_assets.partitions import iteration_number
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.policy_texts import POLICY_TEXTS_SCHEMA, note_text, texts_query
from al_assets.storage.ledger.progress import Progress, count_progress
from al_assets.storage.ledger.queue_rows import read_queue, to_rows
from al_assets.storage.ledger.queue_rules import checked_queue
from al_assets.storage.ledger.retests import join_retests
from al_assets.storage.ledger.store import LedgerError, Store
from al_assets.storage.ledger.tables import IMPORTS, QUEUE, QUEUE_REASONS, VOTES
from al_assets.storage.ledger.votes import Plan, Receipt, RecordResult, Vote, VoteError, is_storable, plan_votes
from al_assets.storage.schemas import EXPERT_LABELS, REVIEW_QUEUE


class Ledger:
    """What was asked of the experts and what they answered, for one policy of a database.

    Rows are only ever added; triggers in the database refuse anything else. Writers of several processes take turns,
    so that ``seq`` order is commit order and a read up to a watermark gives the same votes for ever.

    Answers to hidden items (queued as gold or repeat) are on record like all others but never count as labels: read
    them by ``answers`` and ``retests``.

    :param url: ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE``; tables are created when missing.
    :param policy_name: the policies of one database do not see each other's rows.
    :param raters: who may vote; without any, nobody may, and the ledger is good for reading and publishing.
    :param text: what raters read now; put on record with the next queue or vote.
    :raises LedgerError: the database cannot be opened.
    """

    def __init__(
        self, url: str, policy_name: str, raters: Collection[str] = (), text: PolicyText | None = None
    ) -> None:
        self.policy_name = policy_name
        self.raters = tuple(raters)
        self._text = text
        self._store = Store(url)

    @classmethod
    def of(cls, policy: Policy) -> Self:
        """Open the ledger that a policy file names, for the raters it names."""
        return cls(policy.ledger_url, policy.policy.name, policy.review.raters, policy.policy)

    def close(self) -> None:
        """Give back the database connections."""
        self._store.close()

    def __enter__(self) -> Self:
        """Return the ledger; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def publish(
        self, iteration: str, queue: pl.DataFrame, selected_by: Mapping[str, str], *, append: bool = False
    ) -> pl.DataFrame:
        """Publish an iteration's queue once and return what is published, as a REVIEW_QUEUE frame.

        A published item never changes or leaves, nor does why it was chosen. Publishing again returns the published
        queue as it is; with ``append`` (a reselect) items that are not queued yet join it under the next revision.

        :param queue: columns of REVIEW_QUEUE; ``revision`` is ignored and may be missing, as may WHY_QUEUED.
        :param selected_by: fingerprints of what chose the items, such as ``{"labeler": ..., "embedder": ...}``.
        :raises ValueError: no items, a wrong column, inclusion probability or number, or text that no database stores.
        :raises LedgerError: nothing was published.
        """
        iteration_number(iteration)
        checked = checked_queue(queue)
        chosen_by = json.dumps(dict(selected_by), sort_keys=True)
        with self._store.write() as connection:
            self._note_text(connection)
            published = self._queue(connection, iteration)
            if not published.is_empty() and not append:
                return published
            added = checked.join(published, on="item_id", how="anti", maintain_order="left")
            last = published["revision"].max()
            common: dict[str, Any] = {
                "policy": self.policy_name,
                "iteration": iteration,
                "revision": int(str(last)) + 1 if last is not None else 0,
                "published_at": datetime.now(UTC),
                "selected_by": chosen_by,
            }
            rows = to_rows(added, common)
            queries.add_rows(connection, QUEUE, rows.queue)
            queries.add_rows(connection, QUEUE_REASONS, rows.reasons)
            return self._queue(connection, iteration)

    def queue(self, iteration: str | None = None) -> pl.DataFrame:
        """Return the queue of one iteration or of all: columns of REVIEW_QUEUE plus ``iteration``."""
        with self._store.read() as connection:
            return read_queue(connection, self.policy_name, iteration)

    def iterations(self) -> list[str]:
        """Return the keys of the published iterations, in order."""
        query = select(QUEUE.c.iteration).where(QUEUE.c.policy == self.policy_name).distinct()
        with self._store.read() as connection:
            return sorted(connection.execute(query).scalars())

    def record(
        self, votes: Sequence[Vote], *, skip_outdated: bool = False, receipt: Receipt | None = None
    ) -> RecordResult:
        """Record votes in one transaction: all of them are durable when this returns, or none is recorded.

        The same answer again counts once. Another answer of the same rater about the same item of the same iteration
        supersedes the one before; both stay on record. An answer to a repeat never supersedes the first.

        :param skip_outdated: leave out votes cast before the one that counts now (for files that arrive late).
        :param receipt: the file the votes came from, recorded in the same transaction.
        :raises VoteError: a rater is unknown, an item is not in that iteration's queue, or a key was used before for
            another answer.
        :raises LedgerError: the database could not be written.
        """
        with self._store.write() as connection:
            self._note_text(connection)
            asked = queries.asked_items(connection, self.policy_name, (vote.item_id for vote in votes))
            reasons = self._refusals(votes, asked)
            if refused := [(position, reason) for position, reason in enumerate(reasons) if reason]:
                raise VoteError(refused)
            plan = plan_votes(
                votes,
                queries.known_votes(connection, self.policy_name, votes),
                queries.known_keys(connection, self.policy_name, votes),
                queries.next_seq(connection),
                skip_outdated=skip_outdated,
            )
            queries.add_rows(connection, VOTES, self._vote_rows(plan, asked))
            if receipt:
                queries.add_rows(connection, IMPORTS, [self._import_row(plan, receipt)])
            watermark = queries.watermark_of(connection, self.policy_name)
        return RecordResult(plan.new, plan.repeated, plan.superseding, tuple(plan.outdated), watermark)

    def refusals(self, votes: Sequence[Vote]) -> list[str | None]:
        """Return for each vote why ``record`` would refuse it, None where it would not."""
        with self._store.read() as connection:
            asked = queries.asked_items(connection, self.policy_name, (vote.item_id for vote in votes))
        return self._refusals(votes, asked)

    def asked_in(self, item_ids: Collection[str]) -> dict[str, list[str]]:
        """Return for each item the iterations whose queue holds it, in order; items never queued are left out."""
        with self._store.read() as connection:
            asked = queries.asked_items(connection, self.policy_name, filter(is_storable, item_ids))
        found: dict[str, list[str]] = {}
        for iteration, item_id in sorted(asked):
            found.setdefault(item_id, []).append(iteration)
        return found

    def open_rows(self, content_hash: str) -> frozenset[int] | None:
        """Return the rows of a file that became no vote when it was last imported; None if it never was."""
        with self._store.read() as connection:
            return queries.open_rows(connection, self.policy_name, content_hash)

    def votes(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the votes that count: of each item and rater the latest, hidden items left out, in ``seq`` order.

        :param iterations: only votes of these iterations' queues; an item asked again later has a vote in each.
        :param watermark: as of this ``seq``; None is now.
        :raises LedgerError: the watermark lies ahead of the ledger.
        """
        return self._votes(queries.votes_query, queries.VOTES_SCHEMA, iterations, watermark)

    def answers(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return each rater's latest answer to each item of each iteration's queue, hidden items included.

        :return: columns of ``votes``, then reason, group_id, text and published_at of the queue row.
        """
        return self._votes(queries.answers_query, queries.ANSWERS_SCHEMA, iterations, watermark)

    def asked_votes(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the votes that count with the columns of ``answers``; parameters as of ``votes``."""
        return self._votes(queries.asked_votes_query, queries.ANSWERS_SCHEMA, iterations, watermark)

    def retests(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the answers to repeats, each with the answer the same rater gave the first time.

        :param iterations: only repeats of these iterations' queues.
        :return: columns of RETESTS_SCHEMA, see ``join_retests``.
        """
        history = self._votes(queries.asked_history_query, queries.ANSWERS_SCHEMA, None, watermark)
        found = join_retests(history, dict(self.policy_texts().select("fingerprint", "text_fingerprint").iter_rows()))
        return found if iterations is None else found.filter(pl.col("iteration").is_in(sorted(iterations)))

    def repeat_raters(self, iteration: str) -> dict[str, frozenset[str]]:
        """Return for each repeat of an iteration's queue who had answered it when it was published: they are asked."""
        with self._store.read() as connection:
            return queries.repeat_raters(connection, self.policy_name, iteration)

    def policy_texts(self) -> pl.DataFrame:
        """Return what raters read under each state of the policy, in the order in which it came on record.

        :return: fingerprint (as votes carry it), version, text_fingerprint (the same for the same text, whatever the
            version), text (JSON: question, guideline, labels, examples), recorded_at.
        """
        with self._store.read() as connection:
            return queries.to_frame(connection, texts_query(self.policy_name), POLICY_TEXTS_SCHEMA)

    def history(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return every vote ever recorded, superseded ones too, in ``seq`` order; parameters as of ``votes``."""
        return self._votes(queries.history_query, queries.VOTES_SCHEMA, iterations, watermark)

    def expert_labels(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the votes that count with the queue row that asked for each, as an EXPERT_LABELS frame."""
        return self._votes(queries.labels_query, EXPERT_LABELS.schema, iterations, watermark)

    def watermark(self) -> int:
        """Return the largest ``seq`` of this policy's votes, 0 if there is none."""
        with self._store.read() as connection:
            return queries.watermark_of(connection, self.policy_name)

    def progress(self, iteration: str, votes_per_item: int) -> Progress:
        """Count how far the labelling of an iteration has come; an unpublished one has nothing queued."""
        queued = select(QUEUE.c.item_id, QUEUE.c.published_at).where(
            QUEUE.c.policy == self.policy_name, QUEUE.c.iteration == iteration
        )
        with self._store.read() as connection:
            watermark = queries.watermark_of(connection, self.policy_name)
            queue = connection.execute(queued.order_by(QUEUE.c.revision, QUEUE.c.position)).all()
            latest = queries.answers_query(self.policy_name, [iteration], watermark)
            votes = queries.to_frame(connection, latest, queries.ANSWERS_SCHEMA)
            repeats = queries.repeat_raters(connection, self.policy_name, iteration)
        answers = votes.select("item_id", "rater", "label", "recorded_at").rows()
        items = [(item_id, published_at) for item_id, published_at in queue]
        return count_progress(iteration, votes_per_item, items, answers, self.raters, watermark, repeats)

    def _note_text(self, connection: Connection) -> None:
        if self._text is not None:
            note_text(connection, self.policy_name, self._text)

    def _queue(self, connection: Connection, iteration: str) -> pl.DataFrame:
        return REVIEW_QUEUE.check(read_queue(connection, self.policy_name, iteration).drop("iteration"))

    def _votes(
        self, query: queries.VotesQuery, schema: pl.Schema, iterations: Collection[str] | None, watermark: int | None
    ) -> pl.DataFrame:
        with self._store.read() as connection:
            latest = queries.watermark_of(connection, self.policy_name)
            if watermark is not None and watermark > latest:
                raise LedgerError(
                    f"watermark: {watermark} lies ahead of the ledger, whose last vote of policy {self.policy_name!r} "
                    f"is {latest}; is this another ledger, or an old copy put back?"
                )
            upto = latest if watermark is None else watermark
            return queries.to_frame(connection, query(self.policy_name, iterations, upto), schema)

    def _refusals(self, votes: Sequence[Vote], asked: Mapping[tuple[str, str], Any]) -> list[str | None]:
        return [self._refusal(vote, asked) for vote in votes]

    def _refusal(self, vote: Vote, asked: Mapping[tuple[str, str], Any]) -> str | None:
        if vote.rater not in self.raters:
            known = ", ".join(self.raters) or "nobody"
            return f"rater: {vote.rater!r} may not vote; known are {known}: use one of them or add it to review.raters"
        if (vote.iteration, vote.item_id) not in asked:
            others = sorted(iteration for iteration, item_id in asked if item_id == vote.item_id)
            hint = f"it is in that of {', '.join(others)}" if others else "it is in none: check the id"
            return f"item_id: {vote.item_id!r} is not in the queue of iteration {vote.iteration}; {hint}"
        return None

    def _vote_rows(self, plan: Plan, asked: Mapping[tuple[str, str], Any]) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        rows = []
        for row in plan.rows:
            place = asked[row["iteration"], row["item_id"]]
            rows.append(
                {
                    **row,
                    "policy": self.policy_name,
                    "selected_by": place.selected_by,
                    "inclusion_probability": place.inclusion_probability,
                    "recorded_at": now,
                }
            )
        return rows

    def _import_row(self, plan: Plan, receipt: Receipt) -> dict[str, Any]:
        left_out = {*receipt.rejected_rows, *(receipt.rows[position] for position in plan.outdated)}
        return {
            "policy": self.policy_name,
            "content_hash": receipt.content_hash,
            "name": receipt.name,
            "accepted": plan.new,
            "repeated": plan.repeated,
            "superseding": plan.superseding,
            "rejected_rows": json.dumps(sorted(left_out)),
            "imported_at": datetime.now(UTC),
        }
