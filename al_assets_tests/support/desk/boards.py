"""Boards without a database: rows as the ledger would number them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl

from al_assets.review.desk.rating.board import Board
from al_assets.review.desk.rating.round import QuestionId, QuestionRound
from al_assets.storage.ledger import VoteRow
from al_assets.storage.ledger.votes import WITHDRAWN
from al_assets_tests.support.ledger import items, queue_frame

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def round_of(
    queue: pl.DataFrame, iteration: str = "0000", asked_again: Mapping[str, frozenset[str]] | None = None, hour: int = 0
) -> QuestionRound:
    columns = queue.with_columns(revision=pl.lit(0, dtype=pl.Int64))
    columns = columns.select("item_id", "text", "group_id", "revision")
    return QuestionRound(iteration, columns, asked_again or {}, NOON + timedelta(hours=hour))


class Play:
    """A desk on which raters look, answer, take back, skip and leave."""

    def __init__(
        self,
        *rounds: QuestionRound,
        raters: Sequence[str] = ("anna", "ben"),
        votes: int = 2,
        deadline: float | None = None,
    ) -> None:
        self.board = Board("spam", votes, deadline)
        for each in rounds or (round_of(queue_frame(items(5))),):
            self.board.publish(each)
        self.board.set_raters(raters)
        self.now = NOON
        self.rows: list[VoteRow] = []

    def look(self, rater: str) -> QuestionId | None:
        return self.board.view(rater, self.now).question

    def put(self, rater: str, question: QuestionId, label: str = "positive") -> None:
        seq = len(self.rows) + 1
        row = VoteRow(seq, *question, rater, label, None, None, f"desk:{seq}", self.now, self.now)
        self.rows.append(row)
        self.board.apply([row])

    def answer(self, rater: str) -> QuestionId | None:
        question = self.look(rater)
        if question is not None:
            self.put(rater, question)
        return question

    def answer_all(self, rater: str) -> list[str]:
        found = []
        while question := self.answer(rater):
            found.append(question.item_id)
        return found

    def take_back(self, rater: str) -> QuestionId | None:
        question = self.board.last_answer(rater, self.now)
        if question is not None:
            self.put(rater, question, WITHDRAWN)
            self.board.take_up(rater, question, self.now)
        return question

    def answers(self) -> dict[QuestionId, dict[str, str]]:
        """What counts: of each question and rater the last row, without those taken back."""
        last = {(QuestionId(row.iteration, row.item_id), row.rater): row.label for row in self.rows}
        found: dict[QuestionId, dict[str, str]] = {}
        for (question, rater), label in last.items():
            if label != WITHDRAWN:
                found.setdefault(question, {})[rater] = label
        return found
