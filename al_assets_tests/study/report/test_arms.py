from al_assets.study.report.arms import Setting, arms_of, baseline
from al_assets_tests.support.studies import crowd, curve, frame


def test_an_arm_is_held_against_the_nearest_one_of_its_data_and_student() -> None:
    arms = arms_of(
        frame(
            curve("boundary_pairs", [0], [10], lambda *_: 0.1),
            curve("boundary_pairs", [0], [10], lambda *_: 0.2, embedding="other"),
            curve("boundary_pairs", [0], [10], lambda *_: 0.3, embedding="other", variant="noisy"),
            curve("boundary_pairs", [0], [10], lambda *_: 0.4, student="large"),
            crowd([0], [100], lambda *_: 0.5),
            crowd([0], [100], lambda *_: 0.6, variant="noisy"),
            crowd([0], [100], lambda *_: 0.7, dataset="others"),
        )
    )
    setting = Setting("texts", "small", "other", 100)

    def level(strategy: str, variant: str = "", setting: Setting = setting) -> float | None:
        found = baseline(arms, strategy, setting, variant)
        return found.level("kappa") if found else None

    assert level("boundary_pairs") == 0.2
    # An embedding that was not run with the base settings: the first that was.
    assert level("boundary_pairs", setting=setting._replace(embedding="new")) == 0.1
    assert (level("crowd"), level("crowd", "noisy"), level("crowd", "another")) == (0.5, 0.6, 0.5)
    assert level("crowd", setting=setting._replace(student="large")) is None
    assert level("llm0") is None
