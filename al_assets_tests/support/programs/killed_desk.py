"""A desk in a process of its own that is killed after an answer is durable and before its rater hears of it.

Run as ``python -m al_assets_tests.support.programs.killed_desk FOLDER CODE TURN SEEN COOKIE``.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets.storage.ledger import Ledger, RecordResult, Vote
from al_assets_tests.support.desk.clients import KEY, DeskClient
from al_assets_tests.support.policies import make_policy


class DeadlyLedger(Ledger):
    def record(self, votes: Sequence[Vote], **arguments: Any) -> RecordResult:
        super().record(votes, **arguments)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("killed")


def main() -> None:
    folder, code, turn, seen, cookie = sys.argv[1:]
    policy = make_policy(f"sqlite:///{Path(folder)}/ledger.sqlite")
    desk = Desk(policy, DeadlyLedger.of(policy), PeopleStore.of(policy), KEY)
    client = DeskClient(make_app(desk))
    client.cookies.set(client.cookies_of.name, cookie)
    response = client.submit(f"/questions/{code}/answer", answer="negative", turn=turn, seen=seen, comment="why")
    sys.exit(f"not killed: {response.status_code} {response.text}")


if __name__ == "__main__":
    main()
