import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from al_assets.review.desk.shell.events import Changes, EventStream, TooManyStreamsError, end_streams


class Ledger:
    """Something to look at."""

    def __init__(self) -> None:
        self.mark, self.looks = "a", 0

    def __call__(self) -> str:
        self.looks += 1
        if self.mark == "broken":
            raise OSError("away")
        return self.mark


def test_nobody_listens_nobody_looks() -> None:
    ledger = Ledger()

    async def go() -> None:
        changes = Changes(ledger, seconds=0.01)
        await asyncio.sleep(0.05)
        assert ledger.looks == 0
        with changes.listening("anna"), changes.listening("ben"):
            assert await changes.after(None, 20) == "a"
            assert changes.listeners == 2
        await asyncio.sleep(0.03)
        looks = ledger.looks
        await asyncio.sleep(0.05)
        assert (ledger.looks, changes.listeners) == (looks, 0)

    anyio.run(go)


def test_everyone_hears_of_a_change_and_one_look_serves_all() -> None:
    ledger = Ledger()

    async def go() -> None:
        changes = Changes(ledger, seconds=0.05)
        with changes.listening("anna"):
            assert await changes.after("a", 0.02) is None
            waiting = [asyncio.ensure_future(changes.after("a", 20)) for _ in range(200)]
            await asyncio.sleep(0.02)
            before, ledger.mark = ledger.looks, "b"
            assert set(await asyncio.gather(*waiting)) == {"b"}
            assert ledger.looks - before <= 3
            assert await changes.after("older", 0) == "b"

    anyio.run(go)


def test_a_ledger_that_is_away_ends_nothing() -> None:
    ledger = Ledger()

    async def go() -> None:
        changes = Changes(ledger, seconds=0.01)
        with changes.listening("anna"):
            assert await changes.after(None, 20) == "a"
            ledger.mark = "broken"
            assert await changes.after("a", 0.05) is None
            ledger.mark = "b"
            assert await changes.after("a", 20) == "b"

    anyio.run(go)


def test_a_person_has_so_many_streams_and_no_more() -> None:
    async def go() -> None:
        changes = Changes(Ledger(), most=2)
        streams = [changes.listening(name) for name in ("anna", "anna", "ben", "anna")]
        with streams[0], streams[1], streams[2], pytest.raises(TooManyStreamsError), streams[3]:
            pass
        with changes.listening("anna"):
            assert changes.listeners == 1

    anyio.run(go)


async def lines(stream: EventStream, most: int) -> list[str]:
    found: list[str] = []
    chunks: AsyncIterator[object] = aiter(stream.body_iterator)
    async for chunk in chunks:
        found.append(str(chunk).strip())
        if len(found) == most:
            break
    return found


def test_a_stream_tells_only_that_something_changed() -> None:
    ledger, signed_in = Ledger(), True

    async def is_signed_in() -> bool:
        return signed_in

    async def go() -> None:
        changes = Changes(ledger, seconds=0.01)
        with changes.listening("anna"):
            assert await lines(EventStream(changes, "anna", "a", is_signed_in, 0.03), 2) == [
                "retry: 3000",
                ": still here",
            ]
            fresh = await lines(EventStream(changes, "anna", None, is_signed_in, 5), 2)
            assert fresh == ["retry: 3000", "id: a"]
            missed = await lines(EventStream(changes, "anna", "old", is_signed_in, 5), 2)
            assert missed == ["retry: 3000", "id: a\nevent: changed\ndata: changed"]

    anyio.run(go)


def test_a_stream_ends_with_the_session_even_while_much_changes() -> None:
    ledger, asked = Ledger(), 0

    async def is_signed_in() -> bool:
        nonlocal asked
        asked += 1
        return asked < 2

    async def go() -> None:
        changes = Changes(ledger, seconds=0.005)
        with changes.listening("anna"), anyio.fail_after(5):
            stream = EventStream(changes, "anna", "a", is_signed_in, 0.05)
            found = []
            async for chunk in stream.body_iterator:
                found.append(str(chunk))
                ledger.mark += "x"
            assert found.count(": still here\n\n") == 1
            assert len(found) > 4

    anyio.run(go)


def test_all_streams_end_when_the_server_stops() -> None:
    async def is_signed_in() -> bool:
        return True

    async def go() -> None:
        changes = Changes(Ledger(), seconds=0.01)
        with changes.listening("anna"), anyio.fail_after(2):
            stream = EventStream(changes, "anna", "a", is_signed_in, 60)
            asyncio.get_running_loop().call_later(0.03, end_streams)
            assert [str(chunk) async for chunk in stream.body_iterator] == ["retry: 3000\n\n"]

    anyio.run(go)
