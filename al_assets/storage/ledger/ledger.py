"""The ledger of one policy: publish what is asked, record votes, read both as of any moment."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import polars as pl
from sqlalchemy import Connection, insert

from al_assets.config import Policy, PolicyText
from al_assets.partitions import iteration_number
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.adjudications import Adjudication, record_adjudication
from al_assets.storage.ledger.queue import checked_queue, read_queue
from al_assets.storage.ledger.reader import LedgerReader
from al_assets.storage.ledger.registers import Change, note_import, note_reading, note_text, record_change
from al_assets.storage.ledger.sql_tables import QUEUE, VOTES
from al_assets.storage.ledger.votes import Receipt, RecordResult, Vote, VoteError, plan_votes
from al_assets.tables import REVIEW_QUEUE


class Ledger(LedgerReader):
    """What was asked of the experts and what they answered, for one policy of a database.

    Rows are only ever added; triggers in the database refuse anything else. Writers of several processes take turns,
    so that ``seq`` order is commit order and a read up to a watermark gives the same votes for ever. Votes and
    adjudications share one ``seq``.

    Answers to hidden items (queued as gold or repeat) are on record like all others but never count as labels: read
    them by ``answers`` and ``retests``.

    :param url: ``sqlite:///FILE`` or ``postgresql+psycopg://USER@HOST/DATABASE``; tables are created when missing.
    :param policy_name: the policies of one database do not see each other's rows.
    :param raters: who may vote, besides those who joined by ``change_rater``; where there is nobody the ledger is good
        for reading and publishing.
    :param text: what raters read now; put on record with the next queue, vote or adjudication.
    :param keep_connections: for a process that serves for long: SQLite's connections stay open between transactions.
    :raises LedgerError: the database cannot be opened.
    """

    def __init__(
        self,
        url: str,
        policy_name: str,
        raters: Collection[str] = (),
        text: PolicyText | None = None,
        *,
        keep_connections: bool = False,
    ) -> None:
        super().__init__(url, policy_name, raters, keep_connections=keep_connections)
        self._text = text

    @classmethod
    def of(cls, policy: Policy, *, keep_connections: bool = False) -> Self:
        """Open the ledger that a policy file names, for the raters it names."""
        named, text = policy.policy.name, policy.policy
        return cls(policy.ledger_url, named, policy.review.raters, text, keep_connections=keep_connections)

    def publish(
        self, iteration: str, queue: pl.DataFrame, selected_by: Mapping[str, str], *, append: bool = False
    ) -> pl.DataFrame:
        """Publish an iteration's queue once and return what is published, as a REVIEW_QUEUE frame.

        A published item never changes or leaves, nor does why it was chosen. Publishing again returns the published
        queue as it is; with ``append`` (a reselect) items that are not queued yet join it under the next revision.

        :param queue: columns of REVIEW_QUEUE; ``revision`` is ignored and may be missing.
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
            rows = [{**row, **common, "position": place} for place, row in enumerate(added.iter_rows(named=True))]
            if rows:
                connection.execute(insert(QUEUE), rows)
            return self._queue(connection, iteration)

    def record(
        self, votes: Sequence[Vote], *, skip_outdated: bool = False, receipt: Receipt | None = None
    ) -> RecordResult:
        """Record votes in one transaction: all of them are durable when this returns, or none is recorded.

        The same answer again counts once. Another answer of the same rater about the same item of the same iteration
        supersedes the one before; both stay on record. An answer to a repeat never supersedes the first. A vote with
        the label "withdrawn" takes the answer that counts back; then none counts there until the rater's next one.

        :param skip_outdated: leave out votes cast before the one that counts now (for files that arrive late).
        :param receipt: the file the votes came from, recorded in the same transaction.
        :raises VoteError: a rater is unknown, an item is not in that iteration's queue, a key was used before for
            another answer, or there is no answer to withdraw.
        :raises LedgerError: the database could not be written.
        """
        with self._store.write() as connection:
            self._note_text(connection)
            asked, reasons = self._asked_about(connection, votes)
            if refused := [(position, reason) for position, reason in enumerate(reasons) if reason]:
                raise VoteError(refused)
            plan = plan_votes(
                votes,
                queries.known_votes(connection, self.policy_name, votes),
                queries.known_keys(connection, self.policy_name, votes),
                queries.next_seq(connection),
                skip_outdated=skip_outdated,
            )
            moment = datetime.now(UTC)
            rows = []
            for row in plan.rows:
                question = asked[row["iteration"], row["item_id"]]
                chosen = {name: getattr(question, name) for name in ("selected_by", "inclusion_probability")}
                rows.append({**row, **chosen, "policy": self.policy_name, "recorded_at": moment})
            if rows:
                connection.execute(insert(VOTES), rows)
            if receipt:
                note_import(connection, self.policy_name, plan, receipt)
            watermark = queries.watermark_of(connection, self.policy_name)
        return RecordResult(plan.new, plan.repeated, plan.superseding, tuple(plan.outdated), watermark)

    def adjudicate(self, decision: Adjudication, *, seen: int | None = None) -> int:
        """Record what an item is, decided by one person who saw the votes, and return the decision's ``seq``.

        The votes stay as they are. The later decision about an item of an iteration supersedes the earlier; the same
        key again counts once and returns the ``seq`` it had.

        :param seen: the ``seq`` up to which the adjudicator saw the item; None does not ask whether it changed since.
        :raises AdjudicationError: the item is not in that iteration's queue or hidden in it, or the key was used before
            for another decision.
        :raises OvertakenError: an answer to the item or a decision on it came after ``seen``.
        :raises LedgerError: the database could not be written.
        """
        with self._store.write() as connection:
            self._note_text(connection)
            return record_adjudication(connection, self.policy_name, decision, seen)

    def note_reading(self) -> int:
        """Put on record that the loop reads the labels now, and return the watermark up to which it does.

        From then on somebody may know what the models make of these answers, so that an answer changed later counts
        for training and not for agreement: see ``labels.first_answers``.

        :raises LedgerError: the database could not be written.
        """
        with self._store.write() as connection:
            watermark = queries.watermark_of(connection, self.policy_name)
            note_reading(connection, self.policy_name, watermark)
        return watermark

    def change_rater(self, name: str, change: Change, by: str) -> None:
        """Let somebody vote from now on ("joined"), or no more ("left"); what is so already is not recorded again.

        Votes of a rater who left stay and count. Nothing waits for their answers any more.

        :param by: who made the change.
        :raises ValueError: the change is unknown, or a name is empty or not storable.
        :raises LedgerError: the database could not be written.
        """
        with self._store.write() as connection:
            record_change(connection, self.policy_name, self._named_raters, name, change, by)

    def _note_text(self, connection: Connection) -> None:
        if self._text is not None:
            note_text(connection, self.policy_name, self._text)

    def _queue(self, connection: Connection, iteration: str) -> pl.DataFrame:
        return REVIEW_QUEUE.check(read_queue(connection, self.policy_name, iteration).drop("iteration"))
