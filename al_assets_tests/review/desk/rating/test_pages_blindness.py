"""Nothing a rater's browser ever receives tells why an item is asked, what a model thinks, or what others said."""

import re
from pathlib import Path

import polars as pl
from starlette.applications import Starlette

from al_assets.review.desk.shell.app import make_app
from al_assets.review.desk.shell.desk import Desk
from al_assets_tests.support.desk.clients import DeskClient, client_of, open_desk
from al_assets_tests.support.desk.rater_pages import Rater, ScriptedRater
from al_assets_tests.support.ledger import items, queue_frame

SECRETS = {
    "pair_id": "hush-pair", "group_id": "hush-group", "stratum": "hush-stratum", "stratum_size": 770_077,
    "inclusion_probability": 0.717171, "rank": 919_191, "p_positive": 0.727272, "called": "positive", "region": 31_337,
    "cell": 42_424, "partner_item": "hush-partner", "partner_region": 51_515, "similarity": 0.737373,
    "mixing": 0.747474,
}  # fmt: skip
SIGNS = (
    "hush", "770077", "717171", "919191", "727272", "31337", "42424", "51515", "737373", "747474", "boundary", "audit",
    "control", "gold", "repeat", "stratum", "partner", "0000", "0001", "ben", "cleo", "secret remark", "other-tool",
)  # fmt: skip
TEXT = "Offer number "


def queue(first: int, count: int, prefix: str, **columns: object) -> pl.DataFrame:
    texts = [f"{TEXT}{chr(65 + first + number)}" for number in range(count)]
    return queue_frame(items(count, prefix), **columns).with_columns(text=pl.Series(texts))


def publish(desk: Desk) -> None:
    """A second round with a repeat of the first round's items, gold, and a pair."""
    again = queue(0, 1, "idhush-a", reason="repeat")
    new = queue(10, 3, "idhush-b", reason="boundary", **SECRETS)
    gold = queue(20, 1, "idhush-gold", reason="gold")
    desk.ledger.publish("0001", pl.concat([new, again, gold]), {"labeler": "hush-model"})


def again(app: Starlette, client: DeskClient) -> DeskClient:
    """Return the same browser at another desk."""
    found = DeskClient(app)
    found.cookies.set(found.cookies_of.name, str(client.cookies.get(client.cookies_of.name)))
    return found


class Recorder:
    """Keeps all that a client receives: headers and bodies."""

    def __init__(self, client: DeskClient) -> None:
        self.received: list[str] = []
        client.event_hooks["response"].append(self._keep)

    def _keep(self, response: object) -> None:
        response.read()  # type: ignore[attr-defined]
        headers = "\n".join(f"{name}: {value}" for name, value in response.headers.items())  # type: ignore[attr-defined]
        self.received.append(f"{headers}\n\n{response.text}")  # type: ignore[attr-defined]


def crawl(client: DeskClient, received: list[str]) -> None:
    """Follow every link and fetch every file that pages name."""
    for path in sorted(set(re.findall(r'(?:href|src|hx-get)="(/[^"#]*)"', "\n".join(received)))):
        client.get(path)


def work(client: DeskClient) -> None:
    """Do all that a rater can do, with and without a script."""
    rater = Rater(client)
    page = rater.skip(rater.look())
    page = rater.undo(rater.send(page, "undecided:other", comment="my remark"))
    rater.send(page, "negative", comment="x" * 10_001)
    scripted = ScriptedRater(client, page.seen)
    while page.code:
        _, page, _ = scripted.post(page, "answer", answer="positive")
    rater.look()
    client.get("/questions/wait", headers={"HX-Request": "true"})
    client.get("/questions/nothing/answer")
    client.get("/questions?after=nonsense&seen=hm")


def test_nothing_of_it_is_in_any_page_header_or_file(tmp_path: Path) -> None:
    first = queue(0, 3, "idhush-a", reason="audit")
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/l.sqlite", first) as desk:
        app = make_app(desk)
        anna, ben = (client_of(app, desk, name) for name in ("anna", "ben"))
        for client in (anna, ben):
            work(client)
        publish(desk)
        # A desk that starts again sees the new queue at once.
        app = make_app(desk)
        other, client = again(app, ben), again(app, anna)
        Rater(other).answer("undecided:missing context", comment="secret remark")
        recorder = Recorder(client)
        work(client)
        crawl(client, recorder.received)

        shown = set(re.findall(f"{TEXT}[A-Z]", "\n".join(recorder.received)))
        # All of the second round, the repeat and the gold among it.
        assert shown >= {f"{TEXT}{letter}" for letter in "KLMAU"}
    pages = [each for each in recorder.received if "content-type: text/html" in each]
    assert len(pages) > 10
    for received in pages:
        # What is random, or the rater's own, may hold any of the signs by chance.
        plain = re.sub(r"\b[0-9a-f]{12,64}\b", "", received)
        plain = re.sub(r"(?i)cache-control: [^\n]*", "", plain)
        assert [sign for sign in SIGNS if re.search(rf"(?<![a-z]){sign}", plain, re.IGNORECASE)] == [], plain


def test_nothing_tells_a_repeat_or_gold_from_other_questions(tmp_path: Path) -> None:
    first = queue(0, 3, "idhush-a", reason="audit")
    with open_desk(tmp_path, f"sqlite:///{tmp_path}/l.sqlite", first) as desk:
        rater = Rater(client_of(make_app(desk), desk, "anna"))
        while rater.look().code:
            rater.answer()
        publish(desk)
        rater = Rater(client_of(make_app(desk), desk, "anna"))
        forms = set()
        while (page := rater.look()).code:
            stage = page.html[page.html.index('<div class="item">') : page.html.index('<div class="acts">')]
            plain = stage.replace(page.text, "TEXT").replace(page.code, "CODE")
            forms.add(plain.replace(rater.client.csrf, "CSRF"))
            rater.send(page)
    # The text aside, every page is the same.
    assert len(forms) == 1
