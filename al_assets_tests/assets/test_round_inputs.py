from dataclasses import replace
from pathlib import Path

from al_assets.assets.round_inputs import draw_seed, round_settings
from al_assets.config import load_policy
from al_assets.curation.settings import DEFAULTS
from al_assets_tests.support.small_loop import small_policy, write_policy


def test_a_policy_without_a_word_on_selection_curates_by_the_defaults(tmp_path: Path, small_embedder: Path) -> None:
    content = small_policy(small_embedder)
    own = {name: content["selection"][name] for name in content["selection"]}
    policy = load_policy(write_policy(tmp_path, small_embedder))
    bare = policy.model_copy(update={"selection": type(policy.selection)(), "clustering": type(policy.clustering)()})
    expected = replace(
        DEFAULTS,
        strategy={"boundary_pairs": 1.0},
        expected_prevalence=policy.policy.expected_prevalence,
        clusters=replace(DEFAULTS.clusters, seed=0),
        seed=0,
    )
    assert round_settings(bare) == expected
    assert round_settings(policy).budget == own["budget"] != DEFAULTS.budget
    assert draw_seed(policy, "0003") == policy.selection.seed + 3
