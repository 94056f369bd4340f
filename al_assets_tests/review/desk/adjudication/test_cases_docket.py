from datetime import UTC, datetime

import anyio
import polars as pl
import pytest

from al_assets.review.desk.adjudication.cases import Docket
from al_assets.review.desk.shell.access import Role
from al_assets.review.desk.shell.desk import Desk
from al_assets.review.desk.shell.recent import ledger_state
from al_assets.storage.ledger import Adjudication, Ledger
from al_assets_tests.support.desk.answers import disagree
from al_assets_tests.support.desk.clients import SignIn


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Where in the ledger disagreements were read, as it happens."""
    found: list[int | None] = []
    adjudications = Ledger.adjudications

    def noted(ledger: Ledger, iterations: None = None, watermark: int | None = None) -> pl.DataFrame:
        found.append(watermark)
        return adjudications(ledger, iterations, watermark)

    monkeypatch.setattr(Ledger, "adjudications", noted)
    return found


def test_all_pages_share_one_reading(sign_in: SignIn, desk: Desk, read: list[int | None]) -> None:
    disagree(desk, "item000")
    client = sign_in("addy", Role.ADJUDICATOR)
    assert "<strong>1</strong> left" in client.get("/adjudication").text
    assert "<strong>1</strong> disputed item left" in client.get("/dashboard").text
    assert "<strong>1</strong> left" in client.get("/adjudication").text
    assert read == [2]


def test_the_dashboard_may_lag_and_who_decides_sees_what_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    disagree(desk, "item000")
    docket = Docket(desk)
    monkeypatch.setattr(docket._recent, "_pause", 1e9)

    async def follow() -> None:
        before = await docket.lately(ledger_state(desk.ledger))
        assert ([case.is_open for case in before.value], before.ask_again) == ([True], None)
        desk.ledger.adjudicate(
            Adjudication("0000", "item000", "positive", "addy", None, "1", datetime.now(UTC), "a click")
        )
        state = ledger_state(desk.ledger)
        late = await docket.lately(state)
        assert [case.is_open for case in late.value] == [True]
        assert late.ask_again is not None
        assert [case.is_open for case in (await docket.now())[1]] == [False]
        assert (await docket.lately(state)).ask_again is None

    anyio.run(follow)
