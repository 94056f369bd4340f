import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from upath import UPath

from al_assets.config import CombinationSettings, Policy
from al_assets.models.incumbent import llm0, open_incumbent
from al_assets.models.label_model.fit import fit_label_model
from al_assets.models.labelers import LabelerError, labeler_fingerprint, make_labeler
from al_assets.models.labelers.combination import CombinationLabeler, LabelModelLabeler, MemberLabeler
from al_assets.models.labelers.protocol import Abstaining, Labeler
from al_assets.models.scoring import score_texts
from al_assets.storage.content_store import ContentStore
from al_assets.storage.root import RunRoot, text_hash

MakePolicy = Callable[..., Policy]
LEXICON = {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]}
WORDS = {"kind": "keywords", "positive": ["hate", "worst"], "negative": ["love", "great"]}
BOTH = {"kind": "combination", "labelers": [LEXICON, WORDS]}
TEXTS = [f"{word} it {number}" for number in range(30) for word in ("I hate", "I love", "you gave me", "worst of")]
HASHES = [text_hash(text) for text in TEXTS]


class Constant(Labeler):
    fingerprint = "constant"

    def __init__(self, value: float, batch_size: int = 8, fails: bool = False) -> None:
        self.value = value
        self.batch_size = batch_size
        self.closed = 0
        self.fails = fails

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.full(len(texts), self.value)

    def close(self) -> None:
        self.closed += 1
        if self.fails:
            raise OSError("cannot close")


class Counted(Labeler):
    """Scores a text by its length; counts what it is asked and stops when told to."""

    batch_size = 7

    def __init__(self, fingerprint: str, stop_after: int | None = None) -> None:
        self.fingerprint = fingerprint
        self.asked: list[str] = []
        self.stop_after = stop_after

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += texts
        return np.array([(sum(map(ord, text + self.fingerprint)) % 97) / 97 for text in texts])


class Silent(Abstaining):
    fingerprint = "silent"
    batch_size = 50

    def __init__(self) -> None:
        super().__init__(0.1)
        self.asked = 0

    def votes(self, texts: Sequence[str]) -> NDArray[np.float64]:
        self.asked += len(texts)
        return np.array([1.0 if "hate" in text else np.nan for text in texts])


def members(labelers: Iterable[Any]) -> list[MemberLabeler]:
    return [MemberLabeler(f"member {place}", labeler) for place, labeler in enumerate(labelers)]


def mean_of(labelers: Iterable[Any], weights: Sequence[float] | None = None) -> CombinationLabeler:
    return CombinationLabeler(members(labelers), weights, "f", 0.1)


def stores(folder: Path) -> Callable[[str], ContentStore]:
    return lambda name: ContentStore(UPath(folder / name), np.float64)


def test_a_combination_is_the_weighted_mean() -> None:
    labelers = [Constant(1.0, 64), Constant(0.2)]
    assert mean_of(labelers).score(["a", "b"]) == pytest.approx([0.6, 0.6])
    weighted = mean_of(labelers, [3, 1])
    assert weighted.score(["a"]) == pytest.approx([0.8])
    assert weighted.batch_size == 8
    assert mean_of([Constant(1.0)] * 3, [0.1, 0.7, 0.1]).score(["a"]).max() <= 1


def test_in_a_mean_the_expected_prevalence_stands_for_who_abstains() -> None:
    combination = mean_of([Constant(0.5), Silent()])
    assert combination.score(["I hate it", "fine"]) == pytest.approx([0.75, 0.3])
    np.testing.assert_array_equal(combination.votes(["I hate it", "fine"]), [[0.5, 1], [0.5, np.nan]])


def test_closing_a_combination_closes_every_member() -> None:
    labelers = [Constant(1.0), Constant(0.2, fails=True), Constant(0.3)]
    with pytest.raises(OSError, match="cannot close"), mean_of(labelers):
        pass
    assert [each.closed for each in labelers] == [1, 1, 1]


def test_a_member_that_returns_no_probability_is_named() -> None:
    with pytest.raises(ValueError, match=r"labeler constant: 1 of 1 scores are not in \[0, 1\], such as 2.0"):
        mean_of([Constant(2.0), Constant(0.2)]).score(["a"])


def test_votes_are_kept_by_member_and_a_stopped_run_repeats_at_most_a_batch(tmp_path: Path) -> None:
    undisturbed = mean_of([Counted("a"), Silent(), Counted("b")])
    undisturbed.keep_in(stores(tmp_path / "other"))
    expected = score_texts(undisturbed, HASHES, TEXTS, stores(tmp_path)("unused"))
    np.testing.assert_allclose(expected, undisturbed.score(TEXTS))

    first, silent, second = Counted("a"), Silent(), Counted("b", stop_after=21)
    stopped = mean_of([first, silent, second])
    stopped.keep_in(stores(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        stopped.score_kept(HASHES, TEXTS)
    again = [Counted("a"), Silent(), Counted("b")]
    resumed = mean_of(again, [1, 1, 1])
    resumed.keep_in(stores(tmp_path))
    seen: list[tuple[int, int]] = []
    assert resumed.score_kept(HASHES, TEXTS, lambda done, total: seen.append((done, total))).tobytes() == (
        expected.tobytes()
    )
    assert again[0].asked == []  # type: ignore[attr-defined]
    assert again[1].asked == 0  # type: ignore[attr-defined]
    assert len(again[2].asked) == len(TEXTS) - 21  # type: ignore[attr-defined]
    assert seen == sorted(seen)
    assert seen[-1] == (3 * len(TEXTS), 3 * len(TEXTS))
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "silent-votes", "other"}


def test_what_a_labeler_said_alone_counts_in_a_combination(tmp_path: Path) -> None:
    alone = Counted("a")
    scores = score_texts(alone, HASHES, TEXTS, stores(tmp_path)("a"))
    labelers = Counted("a"), Counted("b")
    combination = mean_of(labelers)
    combination.keep_in(stores(tmp_path))
    votes = combination.kept_votes(HASHES, TEXTS)
    assert labelers[0].asked == []
    np.testing.assert_array_equal(votes[:, 0], scores)


def test_no_texts_and_no_place_to_keep_votes(tmp_path: Path) -> None:
    combination = mean_of([Counted("a"), Silent()])
    with pytest.raises(ValueError, match="combination f: keeps no votes; call keep_in first"):
        combination.kept_votes([], [])
    combination.keep_in(stores(tmp_path))
    assert combination.kept_votes([], []).shape == (0, 2)
    assert combination.score_kept([], []).shape == (0,)


def label_model_of(labelers: Iterable[Any], path: Path) -> LabelModelLabeler:
    labeler = LabelModelLabeler(members(labelers), "f", 0.3)
    labeler.read_model(UPath(path))
    return labeler


def test_a_label_model_is_fitted_once_and_read_by_whoever_comes_later(tmp_path: Path) -> None:
    file = tmp_path / "label_models" / "f.json"
    labeler = label_model_of([Counted("a"), Silent()], file)
    assert not labeler.is_fitted
    said = f"label model f was not fitted yet (no file {file}); materialize pseudo_labels of the first iteration"
    with pytest.raises(LabelerError, match=re.escape(said)):
        labeler.score(["a"])
    votes = labeler.votes(TEXTS)
    model = labeler.fit(votes)
    assert model == fit_label_model(votes, ["member 0", "member 1"], 0.3)
    later = label_model_of([Counted("a"), Silent()], file)
    assert later.is_fitted
    np.testing.assert_array_equal(later.score(TEXTS), model.posterior(votes))
    # Texts of a later iteration are judged by the same model.
    np.testing.assert_array_equal(later.score(["I hate new"]), model.posterior(later.votes(["I hate new"])))


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"members": [{}]}'])
def test_a_damaged_label_model_is_named(content: str, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(LabelerError, match=r"f.json: is damaged .*; delete it and materialize pseudo_labels"):
        label_model_of([Counted("a"), Silent()], file).score(["a"])


def test_a_label_model_of_other_labelers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    three = label_model_of([Counted("a"), Counted("b"), Silent()], file)
    three.fit(three.votes(TEXTS))
    with pytest.raises(LabelerError, match=r"is of 3 labelers, the policy names 2; delete it"):
        label_model_of([Counted("a"), Silent()], file).score(["a"])


def test_each_function_is_a_member_of_a_label_model(make_policy: MakePolicy) -> None:
    two = {"kind": "functions", "functions": ["a.b:c", "d:e"], "revision": "7"}
    for method, names in (("mean", ["a.b:c, d:e", WORDS_NAME]), ("label_model", ["a.b:c", "d:e", WORDS_NAME])):
        policy = make_policy({"kind": "combination", "labelers": [two, WORDS], "method": method})
        combination = make_labeler(policy.labeler, policy)
        assert isinstance(combination, CombinationLabeler)
        assert [member.name for member in combination.members] == names
        first = combination.members[0].labeler.fingerprint
    alone = make_policy({"kind": "functions", "functions": ["a.b:c"], "revision": "7"})
    assert first == labeler_fingerprint(alone.labeler, alone)


WORDS_NAME = "keywords: hate, worst, love, great"


def test_members_have_names_of_their_own(make_policy: MakePolicy) -> None:
    many = {"kind": "keywords", "positive": [f"word{number}" for number in range(30)]}
    model = {"kind": "causal_lm", "model": "some/model"}
    listed = [WORDS, WORDS, {**WORDS, "ignore_case": False}, many, model, BOTH]
    policy = make_policy({"kind": "combination", "labelers": listed})
    labeler = make_labeler(policy.labeler, policy)
    assert isinstance(labeler, CombinationLabeler)
    names = [member.name for member in labeler.members]
    assert names[:3] == [WORDS_NAME, f"{WORDS_NAME} (2)", f"{WORDS_NAME} (3)"]
    assert len(names[3]) == 60
    assert names[4:] == ["causal_lm: some/model", "combination of 2"]


def test_fingerprints_of_combinations(make_policy: MakePolicy) -> None:
    def fingerprint(prevalence: float = 0.1, **settings: Any) -> str:
        policy = make_policy({**BOTH, **settings}, expected_prevalence=prevalence)
        return labeler_fingerprint(policy.labeler, policy)

    assert fingerprint(method="mean") == fingerprint()
    assert len({fingerprint(), fingerprint(method="label_model"), fingerprint(0.2, method="label_model")}) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "label_model", "weights": [1, 2]}, "weights: a label model finds its own"),
        ({"labelers": [LEXICON, {**BOTH, "method": "label_model"}]}, "cannot be a member of another"),
        ({"method": "median"}, "mean"),
    ],
)
def test_combinations_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CombinationSettings.model_validate({**BOTH, **settings})


def test_the_incumbent_keeps_votes_and_label_model_under_the_root(make_policy: MakePolicy, tmp_path: Path) -> None:
    policy = make_policy({**BOTH, "method": "label_model"}, expected_prevalence=0.3)
    root = RunRoot(str(tmp_path / "root"))
    incumbent = llm0(policy)
    store = root.scores(incumbent.fingerprint)
    with open_incumbent(incumbent, policy, root) as labeler:
        assert isinstance(labeler, LabelModelLabeler)
        with pytest.raises(LabelerError, match="materialize pseudo_labels"):
            score_texts(labeler, HASHES, TEXTS, store)
        labeler.fit(labeler.kept_votes(HASHES, TEXTS))
    assert root.label_model_path(incumbent.fingerprint).exists()
    with open_incumbent(incumbent, policy, root) as labeler:
        scores = score_texts(labeler, HASHES, TEXTS, store)
    assert scores.mean() == pytest.approx(0.3)
    assert store.known(HASHES) == set()
    assert scores[0] > scores[2] > scores[1]
