import threading
import time

import pytest

from al_assets.review.desk.rating.room import SharedRead


class Slow:
    """Reads a number that changes; the first reading waits until it may go on."""

    def __init__(self) -> None:
        self.number, self.readings = 0, list[int]()
        self.began, self.go_on = threading.Event(), threading.Event()

    def read(self) -> None:
        seen = self.number
        self.began.set()
        assert self.go_on.wait(20)
        self.readings.append(seen)


def test_those_who_ask_together_share_a_reading_that_began_after_they_asked() -> None:
    slow, results = Slow(), list[int]()
    shared = SharedRead(slow.read)

    def ask() -> None:
        shared()
        results.append(slow.readings[-1])

    first = threading.Thread(target=ask)
    first.start()
    assert slow.began.wait(20)
    slow.number = 1
    others = [threading.Thread(target=ask) for _ in range(8)]
    for other in others:
        other.start()
    # All of them wait: the reading that goes on began before they asked.
    time.sleep(0.2)
    slow.go_on.set()
    for thread in (first, *others):
        thread.join()
    assert sorted(results)[1:] == [1] * 8
    assert slow.readings[:2] == [0, 1]
    # All the others got on with one reading, or a few where a thread was late.
    assert len(slow.readings) < 5
    before = len(slow.readings)
    shared()
    assert len(slow.readings) == before + 1


def test_a_reading_that_fails_is_tried_again_by_the_next() -> None:
    outcomes = iter([OSError("gone"), None])

    def read() -> None:
        if error := next(outcomes):
            raise error

    shared = SharedRead(read)
    with pytest.raises(OSError, match="gone"):
        shared()
    shared()
    assert next(outcomes, "done") == "done"
