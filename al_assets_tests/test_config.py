import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from al_assets.config import (
    Example,
    LabelNames,
    Policy,
    PolicyError,
    PolicyText,
    SelectionSettings,
    SFTStudent,
    fingerprint_of,
    load_policy,
    policy_from_environment,
)
from al_assets.curation.strategies.registry import strategies
from al_assets_tests.support.small_loop import small_policy

CONTENT = small_policy(Path("/nowhere/model"))


def write(folder: Path, content: Any) -> Path:
    file = folder / "policy.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return file


def edited(path: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    *sections, key = path.split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
    place[key] = value
    return content


def message(folder: Path, content: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(write(folder, content))
    return str(caught.value)


def test_the_small_policy_is_read(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, CONTENT))
    assert policy.policy.name == "strongly_negative"
    assert policy.selection.budget == 40
    assert policy.base_dir == tmp_path
    assert policy.root == str(tmp_path / "runs" / "strongly_negative")
    assert policy.ledger_url == f"sqlite:///{tmp_path}/runs/strongly_negative/ledger.sqlite"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("selection.bugdet", 10, "selection: unknown key 'bugdet'; did you mean 'budget'? known keys: budget, shares"),
        ("selektion", {}, "policy file: unknown key 'selektion'; did you mean 'selection'?"),
        ("selection.shares.audits", 0.1, "selection.shares: unknown key 'audits'; did you mean 'audit'?"),
        ("student.epochs", 3, "student.linear: unknown key 'epochs'"),
        ("labeler.functoins", [], "labeler.functions: unknown key 'functoins'; did you mean 'functions'?"),
        ("labeler.kind", "magic", "labeler: Input tag 'magic'"),
        ("policy.labels", {"positiv": "spam"}, "policy.labels: unknown key 'positiv'; did you mean 'positive'?"),
        ("selection.zzz", 1, "selection: unknown key 'zzz'; known keys: budget"),
        ("selection.budget", "many", "selection.budget: Input should be a valid integer"),
        ("selection.budget", "many", "(found 'many')"),
        ("selection.budget", 1, "selection.budget: Input should be greater than or equal to 2 (found 1)"),
        ("selection.shares", {"boundary": 0.9}, "selection.shares: shares: boundary + audit + control is 1.3"),
        ("review.raters", ["ann"], "review.raters: Tuple should have at least 2 items"),
        ("review.raters", ["ann", "ann"], "review: raters: ann, ann names a rater twice"),
        ("review.votes_per_item", 4, "votes_per_item: 4 votes an item need as many raters; 3 are named"),
        ("review.votes_per_item", 1, "review.votes_per_item: Input should be greater than or equal to 2"),
        ("policy.expected_prevalence", 0, "policy.expected_prevalence: Input should be greater than 0 (found 0)"),
        ("policy.expected_prevalence", 15, "policy.expected_prevalence: Input should be less than 1 (found 15)"),
        ("policy.name", "Strongly Negative", "policy.name: String should match pattern '^[a-z][a-z0-9_]*$'"),
        ("policy.question", "", "policy.question: String should have at least 1 character"),
        ("pool.path", None, "pool.path: Input should be a valid string (found None)"),
        ("pool.path", ["a.jsonl"], "pool.path: Input should be a valid string (found ['a.jsonl'])"),
        ("split.evaluation_share", 1, "split.evaluation_share: Input should be less than 1 (found 1)"),
        ("policy.labels", {"positive": "no"}, "policy.labels: labels: 'no', 'no', 'cannot decide' must differ"),
        ("policy.labels", {"positive": True}, "policy.labels.positive: Input should be a valid string (found True)"),
        ("policy.labels", {"positive": True}, "put it in quotes"),
        ("calibration.folds", 1, "calibration.folds: 1 fold leaves nothing to train on; give 2 or more, or 0 for none"),
        ("calibration.folds", -1, "calibration.folds: Input should be greater than or equal to 0 (found -1)"),
        ("calibration.method", "platt", "calibration.method: Input should be 'logistic', 'temperature' or 'isotonic'"),
        ("calibration.treshold", "kappa", "calibration: unknown key 'treshold'; did you mean 'threshold'?"),
        ("stopping", 3, "stopping: Input should be"),
        ("stopping.check_items", 7, "check_items: 7; expected 0 for none, or 8 to 60 (two in each of four strata"),
        ("stopping.check_items", 61, "check_items: 61; expected 0 for none, or 8 to 60"),
        ("stopping.check_items", -1, "stopping.check_items: Input should be greater than or equal to 0 (found -1)"),
        ("stopping.resamples", 10, "stopping.resamples: Input should be greater than or equal to 200 (found 10)"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(tmp_path: Path, path: str, value: Any, said: str) -> None:
    refusal = message(tmp_path, edited(path, value))
    assert refusal.startswith(str(tmp_path / "policy.yaml"))
    assert said in refusal


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    content = {name: section for name, section in CONTENT.items() if name not in ("review", "pool")}
    refusal = message(tmp_path, content)
    assert "review: Field required" in refusal
    assert "pool: Field required" in refusal
    assert len(refusal.splitlines()) == 2


def test_every_mistake_has_a_line(tmp_path: Path) -> None:
    content = edited("selection.budget", "many")
    content["split"] = {"evaluation_share": 3}
    assert len(message(tmp_path, content).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "expected sections such as 'policy:' and 'pool:', found list"),
        ("", "found NoneType"),
        ("just words", "found str"),
        ("policy: [", "cannot be read as UTF-8 YAML"),
        ("policy: {name: a}\n\tpool: {}", "cannot be read as UTF-8 YAML"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as UTF-8 YAML"),
    ],
)
def test_a_file_that_is_no_policy(tmp_path: Path, text: str, said: str) -> None:
    assert said in message(tmp_path, text)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_bytes("policy: {name: größe}".encode("latin-1"))
    with pytest.raises(PolicyError, match="cannot be read as UTF-8 YAML"):
        load_policy(file)


def test_a_directory_or_nothing_at_that_path(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)
    with pytest.raises(PolicyError, match="no such policy file; write one with 'al init other.yaml'"):
        load_policy(tmp_path / "other.yaml")


def test_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEONE", "dana")
    policy = load_policy(write(tmp_path, edited("review.raters", ["${SOMEONE}", "ben", "cleo"])))
    assert policy.review.raters == ("dana", "ben", "cleo")


def test_a_variable_that_is_not_set_is_named_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOBODY", raising=False)
    refusal = message(tmp_path, edited("review.raters", ["ann", "${NOBODY}", "cleo"]))
    assert "review.raters.1: '${NOBODY}' needs the environment variable NOBODY, which is not set" in refusal


def test_the_policy_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AL_POLICY", raising=False)
    with pytest.raises(PolicyError, match="AL_POLICY: not set"):
        policy_from_environment()
    monkeypatch.setenv("AL_POLICY", str(write(tmp_path, CONTENT)))
    assert policy_from_environment().policy.name == "strongly_negative"


def test_places_are_relative_to_the_policy_file(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, CONTENT))
    assert policy.resolve("a/b.jsonl") == str(tmp_path / "a/b.jsonl")
    assert policy.resolve("/a/b.jsonl") == "/a/b.jsonl"
    assert policy.resolve("s3://a/b.jsonl") == "s3://a/b.jsonl"
    (tmp_path / "model").mkdir()
    assert policy.resolve_model("model") == str(tmp_path / "model")
    assert policy.resolve_model("some/hub-name") == "some/hub-name"


def test_a_root_elsewhere_needs_a_ledger_of_its_own(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, edited("storage.root", "s3://bucket/runs")))
    assert policy.root == "s3://bucket/runs/strongly_negative"
    with pytest.raises(PolicyError, match=re.escape("storage.ledger_url: missing, and 's3://bucket/runs/")):
        _ = policy.ledger_url


def test_a_fingerprint_follows_results_and_nothing_else(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, CONTENT))

    def embedding(**changes: Any) -> str:
        return policy.embedding.model_copy(update=changes).fingerprint()

    assert re.fullmatch("[0-9a-f]{12}", embedding())
    assert embedding(batch_size=3, device="cuda") == embedding()
    assert embedding(model="other") != embedding()
    assert embedding(revision="2") != embedding()
    # Settings inside another section count too, and their operational ones do not.
    assert policy.student.kind == "linear"
    nested = policy.student.embedding.model_copy(update={"batch_size": 3})
    assert policy.student.model_copy(update={"embedding": nested}).fingerprint() == policy.student.fingerprint()
    nested = policy.student.embedding.model_copy(update={"max_tokens": 3})
    assert policy.student.model_copy(update={"embedding": nested}).fingerprint() != policy.student.fingerprint()


def test_fingerprints_do_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint_of({"a": 1, "b": [1, 2]}) == fingerprint_of({"b": [1, 2], "a": 1})
    assert fingerprint_of({"a": 1, "b": [1, 2]}) != fingerprint_of({"a": 1, "b": [2, 1]})


def test_a_combination_needs_a_weight_for_each_labeler(tmp_path: Path) -> None:
    one = {"kind": "functions", "functions": ["m:f"]}
    both = {"kind": "combination", "labelers": [one, one]}
    assert Policy.model_validate({**CONTENT, "labeler": {**both, "weights": [1, 2]}}).labeler.kind == "combination"
    said = "weights: 3 weights for 2 labelers; give one each"
    assert said in message(tmp_path, {**CONTENT, "labeler": {**both, "weights": [1, 2, 3]}})
    assert "labelers" in message(tmp_path, {**CONTENT, "labeler": {"kind": "combination", "labelers": [one]}})


def test_a_policy_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, CONTENT))
    with pytest.raises(ValueError, match="frozen"):
        policy.selection.budget = 3  # type: ignore[misc]


def test_a_linear_student_is_cross_fitted_and_a_language_model_only_if_asked(tmp_path: Path) -> None:
    assert load_policy(write(tmp_path, CONTENT)).calibration_folds == 5
    assert load_policy(write(tmp_path, edited("calibration.folds", 0))).calibration_folds == 0
    model = {"kind": "sft", "base_model": "model"}
    assert load_policy(write(tmp_path, edited("student", model))).calibration_folds == 0
    encoder = {"kind": "encoder", "base_model": "model"}
    assert load_policy(write(tmp_path, edited("student", encoder))).calibration_folds == 3
    both = {**edited("student", model), "calibration": {"folds": 4}}
    assert load_policy(write(tmp_path, both)).calibration_folds == 4
    asked = {**edited("student", model), "split": {"evaluation": "crossfit"}}
    assert load_policy(write(tmp_path, asked)).calibration_folds == 3


def test_every_label_teaches_and_measures_unless_that_is_dear_or_not_wanted(tmp_path: Path) -> None:
    assert load_policy(write(tmp_path, CONTENT)).evaluation == "crossfit"
    encoder = {"kind": "encoder", "base_model": "model"}
    found = load_policy(write(tmp_path, edited("student", encoder)))
    assert (found.evaluation, found.calibration_folds) == ("crossfit", 3)
    model = {"kind": "sft", "base_model": "model"}
    assert load_policy(write(tmp_path, edited("student", model))).evaluation == "held_out"
    assert load_policy(write(tmp_path, edited("split.evaluation", "held_out"))).evaluation == "held_out"
    assert load_policy(write(tmp_path, edited("calibration.folds", 0))).evaluation == "held_out"
    neither = {**edited("calibration.folds", 0), "split": {"evaluation": "crossfit"}}
    said = "split.evaluation: crossfit takes students of other folds, and calibration.folds is 0"
    assert said in message(tmp_path, neither)


def test_a_language_models_prompt_holds_the_policy_and_the_student_changes_with_it(tmp_path: Path) -> None:
    def student(guideline: str, prompt: str = "{guideline} {question} {text} {other}") -> SFTStudent:
        content = edited("policy.guideline", guideline)
        content["student"] = {"kind": "sft", "base_model": "model", "prompt": prompt}
        found = load_policy(write(tmp_path, content)).student
        assert isinstance(found, SFTStudent)
        return found

    question = CONTENT["policy"]["question"]
    first = student("No {question}, no {}.")
    assert first.prompt == f"No {{question}}, no {{}}. {question} {{text}} {{other}}"
    assert first.fingerprint() != student("Nothing else.").fingerprint()
    plain = student("No {question}, no {}.", "Hm: {text}"), student("Nothing else.", "Hm: {text}")
    assert plain[0] == plain[1]


def test_gold_needs_a_file(tmp_path: Path) -> None:
    said = "selection: gold_share: 0.05 of gold items, but no file of them; name one in selection.gold"
    assert said in message(tmp_path, edited("selection.gold_share", 0.05))
    assert SelectionSettings(gold="gold.csv", gold_share=0.05).gold == "gold.csv"


def test_the_text_raters_read_has_a_fingerprint_of_its_own() -> None:
    first = PolicyText(name="a", question="q", guideline="g")
    same: list[dict[str, Any]] = [{"version": "2"}, {"expected_prevalence": 0.5}, {"name": "b"}]
    other: list[dict[str, Any]] = [{"question": "r"}, {"guideline": "h"}, {"labels": LabelNames(positive="ja")},
             {"examples": (Example(text="t", label="positive"),)}]  # fmt: skip
    assert {first.model_copy(update=each).text_fingerprint() for each in same} == {first.text_fingerprint()}
    assert len({first.model_copy(update=each).text_fingerprint() for each in (*other, {})}) == 5


def test_strategies_of_the_policy_are_those_there_are(tmp_path: Path) -> None:
    for name in strategies():
        assert load_policy(write(tmp_path, edited("selection.strategy", name))).selection.strategy == name
    said = message(tmp_path, edited("selection.strategy", "typiclus"))
    assert "'typiclus' is no strategy; did you mean 'typiclust'?" in said
    assert "must add up to 1" in message(tmp_path, edited("selection.strategy", {"badge": 0.5, "random": 0.4}))
    mixed = load_policy(write(tmp_path, edited("selection.strategy", {"badge": 0.5, "random": 0.5})))
    assert mixed.selection.strategy_shares == {"badge": 0.5, "random": 0.5}
    plain = load_policy(write(tmp_path, CONTENT))
    assert plain.selection.strategy_shares == {"boundary_pairs": 1.0}
    assert plain.selection.fingerprint() != mixed.selection.fingerprint()


def test_where_the_selection_runs_is_no_part_of_a_fingerprint(tmp_path: Path) -> None:
    plain = load_policy(write(tmp_path, CONTENT))
    on_ray = load_policy(write(tmp_path, edited("scale", {"ray": {"address": "10.0.0.5:6379", "shards": 64}})))
    assert on_ray.scale.ray is not None
    assert on_ray.scale.ray.shards == 64
    assert plain.scale.ray is None
    assert plain.fingerprint() == on_ray.fingerprint()
