"""The demo by hand: its queue on the review desk, which two simulated experts have answered; the third is you."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl

from al_assets.assets.resource import LoopResource
from al_assets.automation.requests import decide, explained
from al_assets.automation.state import Action, Occasion
from al_assets.demo.prepare import DemoFolder, DemoSize, demo_texts, enter_dagster_home, prepare
from al_assets.demo.run import collect_votes, demo_definitions, run_step
from al_assets.demo.vader import drop_votes, expert_votes
from al_assets.partitions import FIRST_KEY, Job
from al_assets.review.desk.people import changes
from al_assets.review.desk.people.store import PeopleStore
from al_assets.review.desk.shell.access import Role

YOU = "you"
_SIMULATED = "raters: [expert_1, expert_2, expert_3]"
_BY_HAND = f"raters: [{YOU}, simulated_2, simulated_3]"
_PEOPLE = {
    YOU: Role.RATER,
    "an adjudicator": Role.ADJUDICATOR,
    "the policy's owner": Role.POLICY_OWNER,
    "an admin": Role.ADMIN,
}


@dataclass(frozen=True)
class DeskDemo:
    """A demo whose desk can be served.

    :param links: the path of an invitation for each person, good once.
    """

    folder: DemoFolder
    links: dict[str, str]


def prepare_desk_demo(folder: Path, size: DemoSize, say: Callable[[str], None]) -> DeskDemo:
    """Prepare the demo, publish its first queue unless there is one, and invite four people.

    Done again it keeps every vote, makes new links, and lets the simulated experts answer what was published since.

    :raises DemoError: the queue could not be made.
    """
    demo = prepare(folder, size)
    text = demo.policy.read_text(encoding="utf-8")
    demo.policy.write_text(text.replace(_SIMULATED, _BY_HAND), encoding="utf-8")
    loop = LoopResource(policy_path=str(demo.policy))
    _publish(demo, loop, say)
    _let_the_simulated_vote(loop, demo_texts(size), say)
    with loop.ledger() as ledger, PeopleStore.of(loop.policy) as people:
        tokens = {name: changes.invite(people, ledger, name, (role,), "al demo-desk") for name, role in _PEOPLE.items()}
    return DeskDemo(demo, {name: f"/join/{token}" for name, token in tokens.items()})


def _publish(demo: DemoFolder, loop: LoopResource, say: Callable[[str], None]) -> None:
    enter_dagster_home(demo.dagster_home)
    with dg.DagsterInstance.from_config(str(demo.dagster_home)) as instance:
        step = decide(instance, loop, Occasion.NIGHTLY)
        if step.action is Action.RUN and step.job is Job.CURATE and step.iteration == FIRST_KEY:
            say(explained(step))
            run_step(demo_definitions(demo), instance, loop, step)


def _let_the_simulated_vote(loop: LoopResource, texts: pl.DataFrame, say: Callable[[str], None]) -> None:
    simulated = [rater for rater in loop.policy.review.raters if rater != YOU]
    votes = expert_votes(texts, len(loop.policy.review.raters))
    with loop.ledger() as ledger:
        answered = set(ledger.answers().filter(pl.col("rater").is_in(simulated))["iteration"])
        waiting = {key: ledger.queue(key) for key in ledger.iterations() if key not in answered}
    for iteration, queue in waiting.items():
        drop_votes(queue, iteration, votes, loop.policy, loop.root, simulated)
        say(f"iteration {iteration}: {len(simulated)} simulated experts answer {queue.height} items; the third is you")
    collect_votes(loop)
