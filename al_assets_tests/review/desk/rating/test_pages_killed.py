import signal
import subprocess
import sys
from pathlib import Path

from al_assets.review.desk.shell.app import make_app
from al_assets_tests.support.desk.clients import DeskClient, client_of, open_desk
from al_assets_tests.support.desk.rater_pages import Rater


def test_an_answer_whose_desk_was_killed_after_the_commit_counts_once_when_sent_again(tmp_path: Path) -> None:
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/ledger.sqlite") as desk:
        client = client_of(make_app(desk), desk, "anna")
        page = Rater(client).look()
        cookie = str(client.cookies.get(client.cookies_of.name))
        command = [sys.executable, "-m", "al_assets_tests.support.programs.killed_desk"]
        arguments = [str(tmp_path), str(page.code), page.turn, page.seen, cookie]
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=180, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
        # The same form, sent to the desk that was started again.
        again = DeskClient(make_app(desk))
        again.cookies.set(again.cookies_of.name, cookie)
        after = Rater(again).send(page, "negative", comment="why")
        assert after.said == "Saved."
        assert after.text != page.text
        history = desk.ledger.history().select("rater", "item_id", "label", "comment").rows()
        assert history == [("anna", page.text.removeprefix("text of "), "negative", "why")]
