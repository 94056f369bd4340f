"""A demo loop deployed as services: its pool, its policy file, its experts, and what it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from al_assets.config import Policy, load_policy
from al_assets.demo.prepare import DemoFolder, DemoSize, demo_texts, prepare
from al_assets.demo.vader import Votes, drop_votes, expert_votes
from al_assets.storage.ledger import Ledger
from al_assets.storage.root import RunRoot
from al_assets_tests.support.daemon.gate import Gate
from al_assets_tests.support.daemon.services import Services
from al_assets_tests.support.policies import with_sections
from al_assets_tests.support.small_loop import write_small_embedder


@dataclass
class Deployment:
    """A loop that real services drive.

    :param sections: merged into the policy file's sections.
    """

    folder: Path
    size: DemoSize
    sections: Mapping[str, Mapping[str, Any]]
    demo: DemoFolder = field(init=False)
    services: Services = field(init=False)

    def __post_init__(self) -> None:
        self.demo = prepare(self.folder, self.size)
        self.texts = demo_texts(self.size)
        static = {"kind": "static", "model": str(write_small_embedder(self.folder / "static", self.texts["text"]))}
        gated = {"kind": "functions", "functions": ["al_assets_tests.support.daemon.gate:strongly_negative"]}
        self.edit_policy(
            labeler=gated, embedding=static, student={"kind": "linear", "embedding": static}, **self.sections
        )
        self.services = Services(self.demo.dagster_home, self.demo.policy, Gate(self.folder / "gate"))

    def edit_policy(self, **sections: Mapping[str, Any]) -> None:
        """Edit the policy file: a section with a kind is replaced, another one merged."""
        content = with_sections(yaml.safe_load(self.demo.policy.read_text()), sections)
        self.demo.policy.write_text(yaml.safe_dump(content, sort_keys=False))

    @property
    def policy(self) -> Policy:
        """The policy as the file now has it."""
        return load_policy(self.demo.policy)

    @property
    def root(self) -> RunRoot:
        """Where the loop keeps its tables."""
        return RunRoot(self.policy.root)

    def votes(self) -> Votes:
        """What the simulated experts think of every text."""
        return expert_votes(self.texts, len(self.policy.review.raters))

    def drop(self, iteration: str, votes: Votes | None = None) -> None:
        """Let the experts drop their files of votes on an iteration's queue."""
        drop_votes(self.queue(iteration), iteration, self.votes() if votes is None else votes, self.policy, self.root)

    def drop_one_sided(self, iteration: str) -> None:
        """Let the experts find nothing but negatives."""
        self.drop(iteration, {item: np.zeros_like(each) for item, each in self.votes().items()})

    def queue(self, iteration: str) -> pl.DataFrame:
        """Return what is published of an iteration."""
        with Ledger.of(self.policy) as ledger:
            return ledger.queue(iteration)

    def history(self) -> pl.DataFrame:
        """Return every vote ever recorded."""
        with Ledger.of(self.policy) as ledger:
            return ledger.history()

    def waiting_files(self) -> list[str]:
        """Return the files in the drop folder that nobody has collected."""
        inbox = Path(self.root.inbox.path)
        return sorted(file.name for file in inbox.iterdir() if file.is_file()) if inbox.exists() else []

    def mart(self, name: str) -> pl.DataFrame:
        """Return a mart as it was last materialized."""
        return pl.read_parquet(str(self.root.table_path(name)))
