"""One whole life of a small loop, driven through the schedule and the sensor; every tick is kept."""

from dataclasses import dataclass, field

import dagster as dg

from al_assets_tests.support.small_loop import SmallLoop, failure

Tick = dg.SensorResult | dg.RunRequest | dg.SkipReason


@dataclass
class Journal:
    """What the sensor and the schedule answered, by moment, and the loop as it was left."""

    loop: SmallLoop
    ticks: dict[str, Tick] = field(default_factory=dict)
    checks: dict[str, set[str]] = field(default_factory=dict)

    def sense(self, moment: str) -> Tick:
        """Ask the sensor and keep its answer."""
        self.ticks[moment] = self.loop.sense()
        return self.ticks[moment]

    def nightly(self, moment: str) -> Tick:
        """Ask the schedule and keep its answer."""
        self.ticks[moment] = self.loop.nightly()
        return self.ticks[moment]

    def run(self, moment: str) -> None:
        """Start the run that was asked for at a moment, and let it end."""
        tick = self.ticks[moment]
        assert not isinstance(tick, dg.SkipReason), f"{moment}: {tick.skip_message}"
        request = self.loop.grant(tick) if isinstance(tick, dg.SensorResult) else tick
        done = self.loop.run_request(request)
        assert done.success, failure(done)
        self.checks[moment] = {each.check_name for each in done.get_asset_check_evaluations()}

    def request(self, moment: str) -> dg.RunRequest:
        """Return the run that was asked for at a moment."""
        tick = self.ticks[moment]
        if isinstance(tick, dg.SensorResult):
            assert tick.run_requests is not None
            (tick,) = tick.run_requests
        assert isinstance(tick, dg.RunRequest), f"{moment}: {tick}"
        return tick

    def skipped(self, moment: str) -> str:
        """Return why nothing was asked for at a moment."""
        tick = self.ticks[moment]
        assert isinstance(tick, dg.SkipReason), f"{moment}: {tick}"
        return str(tick.skip_message)


def live(life: Journal) -> None:
    """Run two iterations from nothing to the end, and learn once more from late votes."""
    life.sense("before the start")
    life.nightly("start")
    life.nightly("start again")
    life.run("start")
    life.sense("nobody voted")
    life.loop.drop("0000", experts=["expert_1"])
    life.sense("one expert voted")
    life.loop.drop("0000", experts=["expert_2"])
    life.sense("two experts voted")
    life.sense("two experts voted, next tick")
    life.nightly("two experts voted, night")
    life.run("two experts voted")
    life.sense("learned")
    life.sense("learned, next tick")
    life.run("learned")
    life.loop.drop("0001", experts=["expert_1", "expert_2"])
    life.sense("second round voted")
    life.run("second round voted")
    life.sense("ended")
    life.nightly("ended, night")
    life.loop.drop("0001", experts=["expert_3"])
    life.sense("late votes, sensor")
    life.nightly("late votes, night")
    life.run("late votes, night")
    life.nightly("ended again, night")
