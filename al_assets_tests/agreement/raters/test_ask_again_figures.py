"""What asking again by a list does to the figures: nothing; and what it would do, were its answers counted."""

import numpy as np
import polars as pl
import pytest

from al_assets.agreement.core.labelled_items import labelled_items
from al_assets.agreement.raters.ask_again import votes_to_ask_again
from al_assets.curation.split import split_labels
from al_assets.storage.ledger import Ledger, Vote
from al_assets_tests.support.ledger import RATERS, SELECTED_BY, START, items, queue_frame
from al_assets_tests.support.votes import panel

ITEMS, SHARE, NOISE = 400, 0.05, 0.6
WORDS = np.array(["negative", "positive"])


class SimulatedLoop:
    """Three raters who disagree on what lies near the line, and a model that sees a part of what they see."""

    def __init__(self, url: str) -> None:
        self.generator = np.random.default_rng(11)
        self.latent = self.generator.normal(size=ITEMS)
        self.item_ids = items(ITEMS)
        self.ledger = Ledger(url, "spam", RATERS)
        self.ledger.publish("0000", queue_frame(self.item_ids, reason="boundary"), SELECTED_BY)
        self.ledger.record([self.answer(item, rater) for item in self.item_ids for rater in RATERS])
        self.ledger.note_reading()
        seen = self.latent + self.generator.normal(size=ITEMS)
        self.scores = pl.DataFrame({"item_id": self.item_ids, "p_positive": 1 / (1 + np.exp(-2 * seen))})
        self.split = split_labels(self.ledger.expert_labels(), evaluation_share=0.5, seed=0, panel_iteration="0001")

    def answer(self, item: str, rater: str, day: int = 0) -> Vote:
        """Return a rater's opinion of an item, which another day is another one near the line."""
        opinion = self.latent[int(item[4:])] + NOISE * self.generator.normal() > 0
        label = str(WORDS[int(opinion)])
        # Cast under one policy version, so an answer that stays the same is a repetition and not recorded again.
        voted_at = START.replace(day=1 + day)
        return Vote(item, "0000", rater, label, "1", voted_at, vote_key=f"{item} {rater} {day}")

    def in_doubt(self, split: pl.DataFrame) -> pl.DataFrame:
        """Return the worst votes by a list, as many as the share of all that is asked again."""
        limit = round(SHARE * ITEMS * len(RATERS))
        votes = self.ledger.expert_labels()
        return votes_to_ask_again(votes, self.scores, split, max_quality=1, limit=limit).listed

    def ask_again(self, listed: pl.DataFrame) -> int:
        """Ask the raters again and return how many answered otherwise."""
        again = [self.answer(item, rater, 1) for item, rater in listed.select("item_id", "rater").iter_rows()]
        return self.ledger.record(again).superseding

    def kappas(self, votes: pl.DataFrame, splits: tuple[str, ...]) -> tuple[float, float]:
        """Return model-expert and expert-expert kappa on the items of some splits."""
        scored = self.scores.select("item_id", p_student="p_positive").with_columns(
            role=pl.lit("evaluation"), p_incumbent=None, incumbent_label=None
        )
        labelled = labelled_items(votes, self.split, scored)
        kept = labelled.where(np.isin(labelled.split, splits))
        figures = panel(kept.votes, {"model": (kept.p_student >= 0.5).astype(np.float64)})
        return figures["model_expert_kappa"], figures["expert_expert_kappa"]


@pytest.fixture
def loop(tmp_path: object) -> SimulatedLoop:
    return SimulatedLoop(f"sqlite:///{tmp_path}/ledger.sqlite")


def test_what_a_list_has_asked_again_moves_no_kappa_and_is_learnt(loop: SimulatedLoop) -> None:
    before = loop.ledger.expert_labels()
    listed = loop.in_doubt(loop.split)
    assert set(loop.split.filter(pl.col("item_id").is_in(listed["item_id"].implode()))["split"]) == {"fine-tuning"}
    changed = loop.ask_again(listed)
    after = loop.ledger.expert_labels()
    assert changed > 20
    assert after.filter(pl.col("label") != pl.col("first_label")).height == changed
    for splits in (("evaluation",), ("evaluation", "fine-tuning")):
        assert loop.kappas(after, splits) == loop.kappas(before, splits)
    truth = dict(zip(loop.item_ids, loop.latent > 0, strict=True))
    wrong = [
        sum((label == "positive") != truth[item] for item, label in frame.select("item_id", "label").iter_rows())
        for frame in (before, after)
    ]
    assert wrong[1] < wrong[0]


def test_nor_do_corrections_of_held_out_items_which_counted_would_lift_every_kappa(loop: SimulatedLoop) -> None:
    before = loop.ledger.expert_labels()
    # A list against the rule: as if every held-out item were there to be learnt from.
    swapped = loop.split.with_columns(
        teaches=pl.col("split") == "evaluation",
    )
    loop.ask_again(loop.in_doubt(swapped))
    after = loop.ledger.expert_labels()
    held_out = ("evaluation",)
    assert loop.kappas(after, held_out) == loop.kappas(before, held_out)
    counted = loop.kappas(after.drop("first_label"), held_out)
    for was, would_be in zip(loop.kappas(before, held_out), counted, strict=True):
        assert would_be > was + 0.04
