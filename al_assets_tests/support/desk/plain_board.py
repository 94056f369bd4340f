"""The board's rules word by word: every look goes through all questions and all rows. Slow, and easy to read."""

from al_assets.review.desk.rating.board import Board
from al_assets.review.desk.rating.round import QuestionId, QuestionRound
from al_assets.review.questions import MIN_GAP, blind_order
from al_assets.storage.ledger.votes import WITHDRAWN
from al_assets_tests.support.desk.boards import Play


class PlainBoard:
    """Chooses for the raters of a play; of its board it uses the rounds, what lies before whom and what was skipped."""

    def __init__(self, play: Play) -> None:
        self.play = play

    @property
    def board(self) -> Board:
        return self.play.board

    def survey(self, rater: str) -> tuple[QuestionId | None, int, int, float]:
        if rater not in self.board.raters:
            return None, 0, 0, 0.0
        answered, share = 0, 0.0
        waiting: list[tuple[int, int, int, QuestionId]] = []
        for age, each in enumerate(self.board.open_rounds(self.play.now)):
            order = blind_order(each.queue, self.board.policy_name, each.iteration, rater)["item_id"]
            for place, item in enumerate(order):
                question = QuestionId(each.iteration, item)
                answered += rater in self.all_votes(question)
                if self.may_be_asked(rater, question):
                    votes = self.votes(question, each)
                    waiting.append((age, -len(votes), place, question))
                    asked = self.asked(question, each)
                    missing, free = self.board.votes_per_item - len(votes), len(asked - votes)
                    share += min(1.0, missing / free) if free else 0.0
        return self.chosen(rater, waiting), answered, len(waiting), share

    def chosen(self, rater: str, waiting: list[tuple[int, int, int, QuestionId]]) -> QuestionId | None:
        free = [each for each in waiting if not self.will_be_complete(rater, each[3])]
        held, skipped = self.board.held(rater), self.board._skipped.get(rater, {})
        if any(each[3] == held for each in free):
            return held
        taken_back = self.taken_back(rater)
        near = {self.group(each) for each in (*self.last_answers(rater), *skipped)} - {None}

        def rank(each: tuple[int, int, int, QuestionId]) -> tuple[int, int, bool, int, int, int]:
            age, votes, place, question = each
            back = 0 if question in skipped else -taken_back.get(question, 0)
            return skipped.get(question, 0), back, self.group(question) in near, age, votes, place

        return min(free, key=rank)[3] if free else None

    def may_be_asked(self, rater: str, question: QuestionId) -> bool:
        found = self.board.rounds[question.iteration]
        if rater in self.all_votes(question) or rater not in found.asked_again.get(question.item_id, {rater}):
            return False
        return len(self.votes(question, found)) < self.board.votes_per_item

    def will_be_complete(self, rater: str, question: QuestionId) -> bool:
        found = self.board.rounds[question.iteration]
        others = self.board.held_by_others(rater, self.play.now).get(question)
        together = self.votes(question, found) | (others or set())
        before = found.asked_again.get(question.item_id)
        counted = together if before is None else together & before
        return bool(others) and len(counted) >= self.board.votes_per_item

    def asked(self, question: QuestionId, found: QuestionRound) -> frozenset[str]:
        return self.board.raters & found.asked_again.get(question.item_id, self.board.raters)

    def votes(self, question: QuestionId, found: QuestionRound) -> set[str]:
        votes = self.all_votes(question)
        return votes & found.asked_again.get(question.item_id, votes)

    def all_votes(self, question: QuestionId) -> set[str]:
        return set(self.play.answers().get(question, ()))

    def group(self, question: QuestionId) -> str | None:
        rows = self.board.rounds[question.iteration].queue.filter(item_id=question.item_id)
        return None if rows.is_empty() else str(rows["group_id"][0])

    def latest(self, rater: str) -> dict[QuestionId, tuple[int, str]]:
        found: dict[QuestionId, tuple[int, str]] = {}
        for row in self.play.rows:
            if row.rater == rater:
                found[QuestionId(row.iteration, row.item_id)] = (row.seq, row.label)
        return found

    def taken_back(self, rater: str) -> dict[QuestionId, int]:
        return {question: seq for question, (seq, label) in self.latest(rater).items() if label == WITHDRAWN}

    def last_answers(self, rater: str) -> list[QuestionId]:
        given = [(seq, question) for question, (seq, label) in self.latest(rater).items() if label != WITHDRAWN]
        return [question for _, question in sorted(given, reverse=True)[:MIN_GAP]]
