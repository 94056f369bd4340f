"""When the loop ends, how often it looks around, and where its work is done and kept."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from al_assets.config.section import OPERATIONAL, Positive, Section, Share, Text
from al_assets.curation.settings import LEAST_CHECK_ITEMS


class StoppingSettings(Section):
    """When the loop ends, and how sure it has to be.

    ``check_items`` is a second, smaller draw of each iteration, on top of ``selection.budget``: made after training
    where student and recommended model differ, and answered before the report. It costs ``review.votes_per_item`` votes
    an item; 0 leaves it out.
    """

    parity_margin: Annotated[float, Field(ge=0)] = 0.05
    min_gain: Annotated[float, Field(ge=0)] = 0.05
    window: Positive = 3
    min_iterations: Positive = 3
    max_iterations: Positive = 8
    max_labels: Positive = 1_000
    min_expert_kappa: Annotated[float, Field(ge=-1, le=1)] = 0.6
    stable_agreement: Share = 0.97
    predicted_change: Share = 0.05
    looks: Literal["alpha_spending", "anytime", "each"] = "alpha_spending"
    stop_set_size: Positive = 2_000
    check_items: Annotated[int, Field(ge=0)] = 0
    resamples: Annotated[int, Field(ge=200)] = 2_000
    reopen_growth: Annotated[float, Field(gt=0)] = 0.2
    seed: int = 0

    @model_validator(mode="after")
    def _check_fits_the_stop_set(self) -> Self:
        if self.check_items and not LEAST_CHECK_ITEMS <= self.check_items <= self.stop_set_size:
            raise ValueError(
                f"check_items: {self.check_items}; expected 0 for none, or {LEAST_CHECK_ITEMS} to {self.stop_set_size} "
                "(two in each of four strata, and no more than stop_set_size, from which they are drawn)"
            )
        return self


class AutomationSettings(Section):
    """How often the loop looks around, and how often it tries again."""

    sensor_interval_seconds: Annotated[int, Field(ge=1), OPERATIONAL] = 30
    nightly_cron: Annotated[Text, OPERATIONAL] = "0 2 * * *"
    timezone: Annotated[Text, OPERATIONAL] = "UTC"
    max_attempts: Annotated[Positive, OPERATIONAL] = 3


class StorageSettings(Section):
    """Where everything is kept. ``root`` may be any fsspec URL; ``ledger_url`` any SQLAlchemy URL."""

    root: Annotated[Text, OPERATIONAL] = ".al/runs"
    ledger_url: Annotated[str | None, OPERATIONAL] = None


class RaySettings(Section):
    """A Ray cluster that does the selection's large steps; needs the extra ``ray`` and files that all nodes see.

    ``address`` is ``host:port`` of its head; left out, Ray is started on this machine alone.
    """

    address: Annotated[Text | None, OPERATIONAL] = None
    shards: Annotated[Positive, OPERATIONAL] = 8


class ScaleSettings(Section):
    """Where the selection runs: in threads of this process unless a cluster is named. Its result is the same."""

    ray: Annotated[RaySettings | None, OPERATIONAL] = None
