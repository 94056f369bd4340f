"""What the ledger of one policy holds, read as of any moment."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import polars as pl
from sqlalchemy import Connection, Select, select

from al_assets import tables
from al_assets.curation.split import CHECK
from al_assets.storage.ledger import queries
from al_assets.storage.ledger.adjudications import adjudications_query
from al_assets.storage.ledger.labels import changed_labels, join_retests, read_labels
from al_assets.storage.ledger.progress import Progress, count_progress
from al_assets.storage.ledger.queue import Publication, asked_items, not_queued, read_publications, read_queue
from al_assets.storage.ledger.registers import open_rows, raters_of, texts_query
from al_assets.storage.ledger.sql_tables import QUEUE
from al_assets.storage.ledger.store import LedgerError, Store
from al_assets.storage.ledger.votes import Vote, is_storable

_Seqs = Callable[[queries.Part], Select[Any]]


class LedgerReader:
    """All that can be asked of a ledger; see ``Ledger``, which can also be written to.

    :raises LedgerError: the database cannot be opened.
    """

    def __init__(
        self, url: str, policy_name: str, raters: Collection[str] = (), *, keep_connections: bool = False
    ) -> None:
        self.policy_name = policy_name
        self._named_raters = tuple(raters)
        self._store = Store(url, keep_connections=keep_connections)

    def close(self) -> None:
        """Give back the database connections."""
        self._store.close()

    def __enter__(self) -> Self:
        """Return the ledger; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @property
    def raters(self) -> tuple[str, ...]:
        """Who may vote now: the raters the ledger was opened with and those who joined, without those who left.

        Read afresh each time, so that a change by another process is seen at once.
        """
        with self._store.read() as connection:
            return self._raters(connection)

    def queue(self, iteration: str | None = None) -> pl.DataFrame:
        """Return the queue of one iteration or of all: columns of REVIEW_QUEUE plus ``iteration``."""
        with self._store.read() as connection:
            return read_queue(connection, self.policy_name, iteration)

    def iterations(self) -> list[str]:
        """Return the keys of the published iterations, in order."""
        query = select(QUEUE.c.iteration).where(QUEUE.c.policy == self.policy_name).distinct()
        with self._store.read() as connection:
            return sorted(connection.execute(query).scalars())

    def publications(self) -> dict[str, Publication]:
        """Return when each iteration's queue was published last, the oldest iteration first: one cheap query."""
        with self._store.read() as connection:
            return read_publications(connection, self.policy_name)

    def refusals(self, votes: Sequence[Vote]) -> list[str | None]:
        """Return for each vote why ``record`` would refuse it for its rater or item, None where it would not."""
        with self._store.read() as connection:
            return self._asked_about(connection, votes)[1]

    def asked_in(self, item_ids: Collection[str]) -> dict[str, list[str]]:
        """Return for each item the iterations whose queue holds it, in order; items never queued are left out."""
        with self._store.read() as connection:
            asked = asked_items(connection, self.policy_name, filter(is_storable, item_ids))
        iterations: dict[str, list[str]] = {}
        for iteration, item_id in sorted(asked):
            iterations.setdefault(item_id, []).append(iteration)
        return iterations

    def open_rows(self, content_hash: str) -> frozenset[int] | None:
        """Return the rows of a file that became no vote when it was last imported; None if it never was."""
        with self._store.read() as connection:
            return open_rows(connection, self.policy_name, content_hash)

    def votes(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the votes that count: of each item and rater the latest, hidden items left out, in ``seq`` order.

        :param iterations: only votes of these iterations' queues; an item asked again later has a vote in each.
        :param watermark: as of this ``seq``; None is now.
        :raises LedgerError: the watermark lies ahead of the ledger.
        """
        return self._votes(tables.VOTES, queries.counting, iterations, watermark)

    def answers(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return each rater's latest answer to each item of each iteration's queue, hidden items included.

        :return: columns of ``votes``, then reason, group_id, text and published_at of the queue row.
        """
        return self._votes(tables.ANSWERS, queries.given, iterations, watermark)

    def asked_votes(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the votes that count with the columns of ``answers``; parameters as of ``votes``."""
        return self._votes(tables.ANSWERS, queries.counting, iterations, watermark)

    def retests(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the answers to repeats, each with the answer the same rater gave the first time.

        :param iterations: only repeats of these iterations' queues.
        :return: columns of RETESTS, see ``join_retests``.
        """
        history = self._votes(tables.ANSWERS, queries.every, None, watermark)
        joined = join_retests(history, dict(self.policy_texts().select("fingerprint", "text_fingerprint").iter_rows()))
        return joined if iterations is None else joined.filter(pl.col("iteration").is_in(sorted(iterations)))

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
            return queries.to_frame(connection, texts_query(self.policy_name), tables.POLICY_TEXTS.schema)

    def history(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return every vote ever recorded, superseded ones too, in ``seq`` order; parameters as of ``votes``."""
        return self._votes(tables.VOTES, queries.every, iterations, watermark)

    def votes_since(self, seq: int) -> list[queries.VoteRow]:
        """Return every vote with a larger ``seq``, superseded ones and withdrawals too, in order.

        ``seq`` is commit order without gaps, so whoever asks again from the last one they saw misses none.
        """
        with self._store.read() as connection:
            return queries.votes_after(connection, self.policy_name, seq)

    def adjudications(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the adjudications that count: the latest of each iteration and item; parameters as of ``votes``.

        :return: columns of ADJUDICATIONS, in ``seq`` order.
        """
        with self._as_of(iterations, watermark) as (connection, part):
            return queries.to_frame(connection, adjudications_query(part), tables.ADJUDICATIONS.schema)

    def withdrawals(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return where answers were taken back, with the ``seq`` of the last withdrawal; parameters as of ``votes``.

        :return: iteration, item_id, seq; another answer may have come since.
        """
        with self._as_of(iterations, watermark) as (connection, part):
            return queries.to_frame(connection, queries.withdrawals_query(part), tables.WITHDRAWALS.schema)

    def expert_labels(self, iterations: Collection[str] | None = None, watermark: int | None = None) -> pl.DataFrame:
        """Return the votes that count with the queue row that asked for each, as an EXPERT_LABELS frame."""
        with self._as_of(iterations, watermark) as (connection, part):
            return read_labels(connection, part)

    def changed_labels(self, since: int) -> int:
        """Count what changed the labels after a ``seq``: answers given, changed or withdrawn, and adjudications.

        Answers to hidden items change no label. An answer given and withdrawn since changed none either.
        """
        with self._store.read() as connection:
            latest = queries.watermark_of(connection, self.policy_name)
            return changed_labels(connection, self.policy_name, min(since, latest), latest)

    def watermark(self) -> int:
        """Return the largest ``seq`` of this policy's votes and adjudications, 0 if there is none."""
        with self._store.read() as connection:
            return queries.watermark_of(connection, self.policy_name)

    def progress(self, iteration: str, votes_per_item: int, *, check: bool | None = None) -> Progress:
        """Count how far the labelling of an iteration has come; an unpublished one has nothing queued.

        :param check: True counts its check items alone, False all others.
        """
        queued = select(QUEUE.c.item_id, QUEUE.c.published_at, QUEUE.c.reason).where(
            QUEUE.c.policy == self.policy_name, QUEUE.c.iteration == iteration
        )
        if check is not None:
            queued = queued.where((QUEUE.c.reason == CHECK) == check)
        with self._as_of([iteration], None) as (connection, part):
            rows = connection.execute(queued.order_by(QUEUE.c.revision, QUEUE.c.position)).all()
            given = queries.votes_query(("item_id", "rater", "label", "recorded_at"), queries.given(part))
            counted = {row.item_id for row in rows}
            answers = [tuple(row) for row in connection.execute(given) if row.item_id in counted]
            repeats = queries.repeat_raters(connection, self.policy_name, iteration)
            raters = self._raters(connection)
        items = [(row.item_id, row.published_at) for row in rows]
        of_check = {row.item_id for row in rows if row.reason == CHECK}
        return count_progress(iteration, votes_per_item, items, answers, raters, part.watermark, repeats, of_check)

    def _raters(self, connection: Connection) -> tuple[str, ...]:
        return raters_of(connection, self.policy_name, self._named_raters)

    def _votes(
        self, table: tables.Table, seqs: _Seqs, iterations: Collection[str] | None, watermark: int | None
    ) -> pl.DataFrame:
        with self._as_of(iterations, watermark) as (connection, part):
            return queries.to_frame(connection, queries.votes_query(table.columns, seqs(part)), table.schema)

    @contextmanager
    def _as_of(
        self, iterations: Collection[str] | None, watermark: int | None
    ) -> Iterator[tuple[Connection, queries.Part]]:
        with self._store.read() as connection:
            latest = queries.watermark_of(connection, self.policy_name)
            if watermark is not None and watermark > latest:
                raise LedgerError(
                    f"watermark: {watermark} lies ahead of the ledger, whose last vote of policy {self.policy_name!r} "
                    f"is {latest}; is this another ledger, or an old copy put back?"
                )
            upto = latest if watermark is None else watermark
            yield connection, queries.Part(self.policy_name, iterations, upto)

    def _asked_about(
        self, connection: Connection, votes: Sequence[Vote]
    ) -> tuple[dict[tuple[str, str], Any], list[str | None]]:
        """Return the queue rows of the votes' items, and why each vote is refused."""
        asked = asked_items(connection, self.policy_name, (vote.item_id for vote in votes))
        raters = self._raters(connection)
        return asked, [_refusal(vote, raters, asked) for vote in votes]


def _refusal(vote: Vote, raters: Sequence[str], asked: Mapping[tuple[str, str], Any]) -> str | None:
    if vote.rater not in raters:
        known = ", ".join(raters) or "nobody"
        return (
            f"rater: {vote.rater!r} may not vote; known are {known}: use one of them, add the name to review.raters, "
            "or invite the person at the desk"
        )
    if (vote.iteration, vote.item_id) not in asked:
        return not_queued(vote.iteration, vote.item_id, asked)
    return None
