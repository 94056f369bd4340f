import anyio

from al_assets.review.desk.shell.recent import Recent


class Work:
    """Counts how often it is done; each time takes so many seconds of a clock of its own."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.done: list[int] = []
        self.now = 0.0
        self.seconds = seconds

    def __call__(self, key: int) -> str:
        self.done.append(key)
        self.now += self.seconds
        return f"value {key}"


def test_a_state_is_computed_once_however_many_ask() -> None:
    work = Work()
    recent = Recent(work)
    found = []

    async def ask() -> None:
        found.append((await recent.of(1)).value)

    async def all_at_once() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)

    anyio.run(all_at_once)
    assert work.done == [1]
    assert found == ["value 1"] * 20


def test_who_goes_on_from_it_gets_the_value_of_their_state_at_once() -> None:
    work = Work(seconds=2.0)
    recent = Recent(work, pause=9.0, clock=lambda: work.now)

    async def follow() -> None:
        assert (await recent.of(1)).value == "value 1"
        with anyio.fail_after(5):
            assert (await recent.of(2, fresh=True)).value == "value 2"
        assert (await recent.of(2)).ask_again is None
        assert (await recent.of(3)).value == "value 2"

    anyio.run(follow)
    assert work.done == [1, 2]


def test_while_states_follow_quickly_the_older_value_is_given() -> None:
    work = Work(seconds=2.0)
    recent = Recent(work, pause=9.0, clock=lambda: work.now)

    async def follow() -> None:
        assert (await recent.of(1)).ask_again is None
        stale = await recent.of(2)
        assert (stale.value, stale.ask_again) == ("value 1", 18.0)
        work.now += 16.5
        assert (await recent.of(3)).ask_again == 1.5
        work.now += 1.4
        fresh = await recent.of(3)
        assert (fresh.value, fresh.ask_again) == ("value 3", None)

    anyio.run(follow)
    assert work.done == [1, 3]
