"""Names that say nothing: the code a question goes by on a rater's page, and the key of each answer."""

from al_assets.review.desk.shell.digests import keyed_digest

_DESK = "desk:"


def question_code(key: bytes, policy: str, iteration: str, item_id: str, rater: str) -> str:
    """Return the code of a question on a rater's page: another for each rater, so nobody can name another's."""
    return keyed_digest(key, "question", policy, iteration, item_id, rater)[:16]


def answer_key(key: bytes, policy: str, iteration: str, item_id: str, rater: str, turn: int) -> str:
    """Return the ledger's key for an answer: the same form sent twice has the same one, so it counts once.

    :param turn: how many rows the rater has on record for the question, withdrawals included.
    """
    return _DESK + keyed_digest(key, "answer", policy, iteration, item_id, rater, str(turn))[:32]


def is_desk_key(vote_key: str) -> bool:
    """Whether an answer was given on the desk."""
    return vote_key.startswith(_DESK)
