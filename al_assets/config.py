"""The policy file: one YAML file per policy, its sections as pydantic models, and their fingerprints."""

import difflib
import hashlib
import json
import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

POLICY_VARIABLE = "AL_POLICY"


class PolicyError(ValueError):
    """The policy file is missing or wrong; the message names the field, the value and the way out."""


class _Operational:
    """Marks a setting that changes how fast or where work is done, never its result: left out of fingerprints."""


class _Later:
    """Marks a setting that came later: at its default it is left out of fingerprints.

    So a policy file written before keeps the fingerprints under which its votes and tables were made.
    """


OPERATIONAL = _Operational()
LATER = _Later()
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A section of the policy file: frozen, and an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for key in values:
            if key not in cls.model_fields:
                near = difflib.get_close_matches(str(key), cls.model_fields, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(f"unknown key {key!r}; {hint}known keys: {', '.join(cls.model_fields)}")
        return values

    def fingerprint(self) -> str:
        """Return 12 hex digits that change when, and only when, a setting that can change results does."""
        return fingerprint_of(_semantic(self))


def fingerprint_of(value: Any) -> str:
    """Return 12 hex digits of the SHA-256 of a JSON-serialisable value, independent of key order."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _semantic(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {
            name: _semantic(getattr(value, name))
            for name, field in type(value).model_fields.items()
            if OPERATIONAL not in field.metadata
            and not (LATER in field.metadata and getattr(value, name) == field.default)
        }
    if isinstance(value, (list, tuple)):
        return [_semantic(each) for each in value]
    return value


class LabelNames(Section):
    """What the experts' answers are called in files and on the desk."""

    positive: Text = "yes"
    negative: Text = "no"
    undecided: Text = "cannot decide"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({self.positive, self.negative, self.undecided}) < 3:
            raise ValueError(f"labels: {self.positive!r}, {self.negative!r}, {self.undecided!r} must differ")
        return self


class Example(Section):
    """A worked example of the policy."""

    text: Text
    label: Literal["positive", "negative"]
    why: str = ""


class PolicyText(Section):
    """What is asked of an item, and how often the answer is expected to be yes."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: Text = "1"
    question: Text
    guideline: Text
    labels: LabelNames = LabelNames()
    examples: tuple[Example, ...] = ()
    expected_prevalence: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @field_validator("version", mode="before")
    @classmethod
    def _version_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, (int, float)) else value

    def read_by_raters(self) -> dict[str, Any]:
        """Return what raters read before they answer: question, guideline, label names and examples."""
        return {name: _semantic(getattr(self, name)) for name in ("question", "guideline", "labels", "examples")}

    def text_fingerprint(self) -> str:
        """Return 12 hex digits that change when, and only when, what raters read does; the version has no part in it.

        ``fingerprint`` also covers the name, the version and the expected prevalence.
        """
        return fingerprint_of(self.read_by_raters())


class PoolSource(Section):
    """Where the unlabelled items are: JSONL, CSV or Parquet, a path, glob or fsspec URL."""

    path: Text
    id_column: Text = "id"
    text_column: Text = "text"
    source_column: str | None = None
    arrived_at_column: str | None = None
    max_characters: Positive = 20_000
    near_duplicate_similarity: Annotated[float, Field(gt=0.3, le=1)] = 0.8


class FunctionsLabeler(Section):
    """Labelling functions: ``module:function`` paths, each ``str -> float | None`` in [0, 1], averaged."""

    kind: Literal["functions"]
    functions: Annotated[tuple[Text, ...], Field(min_length=1)]
    revision: str = ""


class ClassifierLabeler(Section):
    """Any classifier with ``predict_proba(list of str)``: a joblib file, or a ``module:factory`` path."""

    kind: Literal["classifier"]
    model: Text
    revision: str = ""


class PromptSettings(Section):
    """How an LLM is asked: ``{guideline}``, ``{question}``, ``{examples}`` and ``{text}`` are filled in."""

    prompt: Text = (
        "{guideline}\n\n{examples}Answer with one word, yes or no.\n\nText: {text}\nQuestion: {question}\nAnswer:"
    )
    yes: Text = " yes"
    no: Text = " no"


class CausalLMLabeler(PromptSettings):
    """A causal language model run by transformers; score = logit(yes) - logit(no) at the last prompt token."""

    kind: Literal["causal_lm"]
    model: Text
    revision: str = ""
    chat_template: bool = False
    dtype: Literal["bfloat16", "float32", "float16"] = "bfloat16"
    max_tokens: Positive = 512
    batch_size: Annotated[Positive, OPERATIONAL] = 32
    device: Annotated[str, OPERATIONAL] = "cpu"


class OpenAILabeler(PromptSettings):
    """A language model behind an OpenAI-compatible completions URL, such as a running vLLM server."""

    kind: Literal["openai"]
    base_url: Annotated[Text, OPERATIONAL]
    model: Text
    revision: str = ""
    api_key_env: Annotated[str | None, OPERATIONAL] = None
    top_logprobs: Annotated[int, Field(ge=2, le=1000)] = 20
    concurrency: Annotated[Positive, OPERATIONAL] = 16
    timeout_seconds: Annotated[float, Field(gt=0), OPERATIONAL] = 60
    max_retries: Annotated[int, Field(ge=0), OPERATIONAL] = 5
    batch_size: Annotated[Positive, OPERATIONAL] = 256


class VLLMLabeler(PromptSettings):
    """A vLLM server that the labelling step starts in its own process and stops when done."""

    kind: Literal["vllm"]
    model: Text
    revision: str = ""
    python: Annotated[Text, OPERATIONAL] = "python"
    dtype: Text = "bfloat16"
    max_tokens: Positive = 512
    extra_arguments: Annotated[tuple[str, ...], OPERATIONAL] = ()
    environment: Annotated[dict[str, str], OPERATIONAL] = {}
    start_timeout_seconds: Annotated[float, Field(gt=0), OPERATIONAL] = 600
    top_logprobs: Annotated[int, Field(ge=2, le=1000)] = 20
    concurrency: Annotated[Positive, OPERATIONAL] = 16
    timeout_seconds: Annotated[float, Field(gt=0), OPERATIONAL] = 60
    max_retries: Annotated[int, Field(ge=0), OPERATIONAL] = 5
    batch_size: Annotated[Positive, OPERATIONAL] = 256


class KeywordsLabeler(Section):
    """Words that speak for and against: p_positive 1 or 0, no vote where neither or both kinds are found.

    :param positive: words and phrases that only positive items are expected to hold; ``negative`` the other way round.
    :param regex: they are regular expressions, used as written but for ``ignore_case``.
    :param whole_words: "hat" is not found in "that"; for words, not for regular expressions.
    """

    kind: Literal["keywords"]
    positive: tuple[Text, ...] = ()
    negative: tuple[Text, ...] = ()
    regex: bool = False
    whole_words: bool = True
    ignore_case: bool = True

    @field_validator("positive", "negative")
    @classmethod
    def _not_blank(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any(not word.strip() for word in words):
            raise ValueError("a keyword is blank, which is found in every text; leave it out")
        return words

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.positive and not self.negative:
            raise ValueError("keywords: neither positive nor negative words are named; name some of either")
        both = sorted(set(self.positive) & set(self.negative))
        if both:
            raise ValueError(f"keywords: {both[0]!r} is both positive and negative; keep it on one side")
        for pattern in (*self.positive, *self.negative) if self.regex else ():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"keywords: {pattern!r} is not a regular expression: {error}; mend it, or set regex to false to "
                    "look for it as written"
                ) from error
        return self


class CombinationLabeler(Section):
    """Several labelers as one.

    :param method: mean: the mean of their p_positive, by weight, the expected prevalence where one abstains;
        label_model: what a label model makes of their votes, which finds out how far to trust each. There every
        function of a ``functions`` labeler is a member of its own.
    """

    kind: Literal["combination"]
    labelers: Annotated[tuple["LabelerSettings", ...], Field(min_length=2)]
    method: Annotated[Literal["mean", "label_model"], LATER] = "mean"
    weights: tuple[Annotated[float, Field(gt=0)], ...] | None = None

    @model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.labelers):
            raise ValueError(f"weights: {len(self.weights)} weights for {len(self.labelers)} labelers; give one each")
        return self

    @model_validator(mode="after")
    def _a_label_model_weighs_by_itself(self) -> Self:
        if self.method == "label_model" and self.weights is not None:
            raise ValueError("weights: a label model finds its own; leave them out, or set method to mean")
        if any(isinstance(each, CombinationLabeler) and each.method == "label_model" for each in self.labelers):
            raise ValueError(
                "labelers: a combination by label_model cannot be a member of another; list its labelers here instead"
            )
        return self


LabelerSettings = Annotated[
    FunctionsLabeler
    | KeywordsLabeler
    | ClassifierLabeler
    | CausalLMLabeler
    | OpenAILabeler
    | VLLMLabeler
    | CombinationLabeler,
    Field(discriminator="kind"),
]


class EmbeddingSettings(Section):
    """The embedder. Its fingerprint is the code version of ``embeddings``."""

    kind: Literal["sentence_transformers", "static"] = "sentence_transformers"
    model: Text
    revision: str = ""
    max_tokens: Positive = 256
    batch_size: Annotated[Positive, OPERATIONAL] = 64
    device: Annotated[str, OPERATIONAL] = "cpu"


class ClusteringSettings(Section):
    """Macro clusters (hdbscan after PCA) for names and coverage, micro cells (spherical k-means) for picking."""

    min_cluster_size: Annotated[int, Field(ge=2)] = 15
    pca_dimensions: Positive = 16
    exact_below: Positive = 10_000
    items_per_cell: Positive = 20
    seed: int = 0


class Shares(Section):
    """How the round's budget is divided; the three shares add up to 1."""

    boundary: Share = 0.6
    audit: Share = 0.25
    control: Share = 0.15

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        total = self.boundary + self.audit + self.control
        if abs(total - 1) > 1e-9:
            raise ValueError(f"shares: boundary + audit + control is {total:g}; they must add up to 1")
        return self


StrategyName = Literal[
    "boundary_pairs", "random", "margin", "entropy", "top_scored", "disagreement", "k_center", "facility_location",
    "typiclust", "probcover", "badge", "contrastive", "rho", "jest",
]  # fmt: skip


class SelectionSettings(Section):
    """What the experts are asked next.

    ``strategy`` fills the boundary share: a name, or several with their shares of it, such as ``{boundary_pairs: 0.7,
    typiclust: 0.3}``. ``exploration`` is the part of what it picks that is drawn by lot from a short list.

    Hidden items come on top of the budget: ``gold_share`` of it from the file ``gold`` (item_id, text, label, why),
    ``repeat_share`` of it from what a rater answered at least ``repeat_after_days`` ago.
    """

    budget: Annotated[int, Field(ge=2)] = 120
    shares: Shares = Shares()
    neighbours: Positive = 8
    min_mixing: Share = 0.2
    target_positive_share: Share = 0.4
    strategy: Annotated[StrategyName | dict[StrategyName, Share], LATER] = "boundary_pairs"
    exploration: Annotated[Share, LATER] = 0.25
    audit_strata: Positive = 5
    gold: Annotated[Text | None, LATER] = None
    gold_share: Annotated[Share, LATER] = 0
    repeat_share: Annotated[Share, LATER] = 0
    repeat_after_days: Annotated[float, Field(ge=0), LATER] = 7
    seed: int = 0

    @field_validator("strategy", mode="before")
    @classmethod
    def _known_strategies(cls, strategy: Any) -> Any:
        names = [strategy] if isinstance(strategy, str) else strategy
        for name in names if isinstance(names, (list, dict)) else ():
            if name not in get_args(StrategyName):
                near = difflib.get_close_matches(str(name), get_args(StrategyName), n=1, cutoff=0)
                raise ValueError(
                    f"{name!r} is no strategy; did you mean {near[0]!r}? known: {', '.join(get_args(StrategyName))}"
                )
        return strategy

    @property
    def strategy_shares(self) -> dict[str, float]:
        """The strategies and their shares of the boundary budget; one alone has all of it."""
        return (
            {self.strategy: 1.0}
            if isinstance(self.strategy, str)
            else {str(name): share for name, share in self.strategy.items()}
        )

    @model_validator(mode="after")
    def _strategy_shares_add_up(self) -> Self:
        if isinstance(self.strategy, dict) and abs(sum(self.strategy.values()) - 1) > 1e-6:
            raise ValueError(
                f"strategy: {' + '.join(self.strategy)} is {sum(self.strategy.values()):g}; the shares must add up to 1"
            )
        return self

    @model_validator(mode="after")
    def _gold_has_a_file(self) -> Self:
        if self.gold_share and self.gold is None:
            raise ValueError(
                f"gold_share: {self.gold_share:g} of gold items, but no file of them; name one in selection.gold"
            )
        return self


class ReviewSettings(Section):
    """Who votes, and when a round of votes is complete."""

    raters: Annotated[tuple[Text, ...], Field(min_length=2)]
    votes_per_item: Annotated[int, Field(ge=2)] = 2
    deadline_hours: Annotated[float, Field(gt=0)] | None = None
    deadline_coverage: Share = 0.8

    @model_validator(mode="after")
    def _enough_raters(self) -> Self:
        if len(set(self.raters)) != len(self.raters):
            raise ValueError(f"raters: {', '.join(self.raters)} names a rater twice")
        if self.votes_per_item > len(self.raters):
            raise ValueError(
                f"votes_per_item: {self.votes_per_item} votes an item need as many raters; {len(self.raters)} are named"
            )
        return self


class SplitSettings(Section):
    """How labelled boundary and control items are divided; audit items are always evaluation items."""

    evaluation_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    seed: int = 0


class SFTStudent(Section):
    """A causal language model fine-tuned by TRL's SFTTrainer on ``prompt`` + yes/no."""

    kind: Literal["sft"]
    base_model: Text
    revision: str = ""
    prompt: Text = "Text: {text}\nViolation?"
    yes: Text = " yes"
    no: Text = " no"
    method: Literal["full", "lora"] = "full"
    lora_rank: Positive = 16
    epochs: Annotated[float, Field(gt=0)] = 6
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    batch_size: Positive = 16
    warmup_share: Share = 0.1
    minority_share: Annotated[float, Field(gt=0, le=0.5)] = 0.4
    max_tokens: Positive = 128
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    seed: int = 0
    micro_batch_size: Annotated[Positive, OPERATIONAL] = 8
    scoring_batch_size: Annotated[Positive, OPERATIONAL] = 64
    device: Annotated[str, OPERATIONAL] = "cpu"


class LinearStudent(Section):
    """Logistic regression on the frozen embedding: seconds to train; the floor a language model has to beat.

    :param balanced: both classes weigh alike, however rare one of them is.
    """

    kind: Literal["linear"]
    embedding: EmbeddingSettings
    regularisation: Annotated[float, Field(gt=0)] = 1.0
    balanced: Annotated[bool, LATER] = True
    seed: int = 0


StudentSettings = Annotated[SFTStudent | LinearStudent, Field(discriminator="kind")]


class CalibrationSettings(Section):
    """Where the student's threshold and its probabilities come from.

    :param folds: students trained to score each fine-tuning item by one that has not seen it; 0 for none. By default 5
        for a linear student and 0 for a language model, which takes as long for each as for the student itself.
    :param method: the curve from score to probability that is fitted to those scores.
    :param threshold: prevalence: call as much of the pool positive as is estimated to be; kappa: where the calibrated
        probabilities expect the largest kappa; half: a probability of one half. The last two need folds.
    """

    folds: Annotated[int, Field(ge=0, le=50)] | None = None
    method: Literal["logistic", "temperature", "isotonic"] = "logistic"
    threshold: Literal["prevalence", "kappa", "half"] = "prevalence"
    seed: int = 0

    @field_validator("folds")
    @classmethod
    def _none_or_several(cls, folds: int | None) -> int | None:
        if folds == 1:
            raise ValueError("1 fold leaves nothing to train on; give 2 or more, or 0 for none")
        return folds


class StoppingSettings(Section):
    """When the loop ends, and how sure it has to be."""

    parity_margin: Annotated[float, Field(ge=0)] = 0.05
    min_gain: Annotated[float, Field(ge=0)] = 0.05
    window: Positive = 3
    min_iterations: Positive = 3
    max_iterations: Positive = 8
    max_labels: Positive = 1_000
    min_expert_kappa: Annotated[float, Field(ge=-1, le=1)] = 0.6
    stable_agreement: Share = 0.97
    predicted_change: Annotated[Share, LATER] = 0.05
    stop_set_size: Positive = 2_000
    resamples: Annotated[int, Field(ge=200)] = 2_000
    reopen_growth: Annotated[float, Field(gt=0)] = 0.2
    seed: int = 0


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


class DeskSettings(Section):
    """The review desk: where it is reached, who is let in, and for how long. See docs/desk-security.md.

    :param public_url: the address in the raters' browsers, such as ``https://desk.example.org``.
    :param contact: whom a person should ask who is not let in, such as ``Ada Lovelace, ada@example.org``.
    :param identity_header: the request header in which a proxy says who is signed in.
    :param trusted_proxies: addresses or networks of the proxies before the desk, such as ``127.0.0.1``; the only ones
        that are believed, about who is signed in and where a request came from.
    """

    public_url: Annotated[Text | None, OPERATIONAL] = None
    contact: Annotated[str, OPERATIONAL] = ""
    identity_header: Annotated[str | None, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$"), OPERATIONAL] = None
    trusted_proxies: Annotated[tuple[Text, ...], OPERATIONAL] = ()
    invite_hours: Annotated[float, Field(gt=0, le=720), OPERATIONAL] = 72
    session_idle_hours: Annotated[float, Field(gt=0, le=8760), OPERATIONAL] = 168
    session_hours: Annotated[float, Field(gt=0, le=8760), OPERATIONAL] = 720

    @field_validator("public_url")
    @classmethod
    def _origin_only(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{value!r} is no address ({error}); write https://HOST or https://HOST:PORT") from error
        host = (parts.hostname or "").lower()
        if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.username:
            raise ValueError(f"{value!r} must be https://HOST or https://HOST:PORT, without a path")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError(f"{value!r} would send sign-ins unencrypted; use https, or an address of this machine")
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                ip_network(value, strict=False)
            except ValueError:
                raise ValueError(f"{value!r} is no address or network; write 127.0.0.1 or 10.0.0.0/24") from None
        return values

    @model_validator(mode="after")
    def _header_has_a_sender(self) -> Self:
        if self.identity_header and not self.trusted_proxies:
            raise ValueError(
                f"identity_header: {self.identity_header!r} would be believed from nobody; name the proxy that sets it "
                "in desk.trusted_proxies"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, seen from itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class RaySettings(Section):
    """A Ray cluster that does the selection's large steps; needs the extra ``ray`` and files that all nodes see.

    ``address`` is ``host:port`` of its head; left out, Ray is started on this machine alone.
    """

    address: Annotated[Text | None, OPERATIONAL] = None
    shards: Annotated[Positive, OPERATIONAL] = 8


class ScaleSettings(Section):
    """Where the selection runs: in threads of this process unless a cluster is named. Its result is the same."""

    ray: Annotated[RaySettings | None, OPERATIONAL] = None


class Policy(Section):
    """A whole policy file."""

    policy: PolicyText
    pool: PoolSource
    labeler: LabelerSettings
    embedding: EmbeddingSettings
    clustering: ClusteringSettings = ClusteringSettings()
    selection: SelectionSettings = SelectionSettings()
    review: ReviewSettings
    split: SplitSettings = SplitSettings()
    student: StudentSettings
    calibration: CalibrationSettings = CalibrationSettings()
    stopping: StoppingSettings = StoppingSettings()
    automation: AutomationSettings = AutomationSettings()
    scale: Annotated[ScaleSettings, OPERATIONAL] = ScaleSettings()
    storage: StorageSettings = StorageSettings()
    desk: Annotated[DeskSettings, OPERATIONAL] = DeskSettings()
    base_dir: Annotated[Path, OPERATIONAL] = Path()

    @property
    def calibration_folds(self) -> int:
        """How many students are trained for out-of-fold scores: as set, else 5 of a linear student, none of an LLM."""
        if self.calibration.folds is not None:
            return self.calibration.folds
        return 5 if isinstance(self.student, LinearStudent) else 0

    def resolve(self, location: str) -> str:
        """Return a path of the policy file as an absolute one; URLs and absolute paths are returned as they are."""
        if "://" in location or Path(location).is_absolute():
            return location
        return str(self.base_dir / location)

    def resolve_model(self, location: str) -> str:
        """Return a model's directory when there is one beside the policy file, else the name as written."""
        local = Path(self.resolve(location))
        return str(local) if local.exists() else location

    @property
    def root(self) -> str:
        """The folder or URL under which this policy's loop keeps everything."""
        return self.resolve(self.storage.root).rstrip("/") + "/" + self.policy.name

    @property
    def ledger_url(self) -> str:
        """The SQLAlchemy URL of the ledger: SQLite under the root unless the file names another."""
        if self.storage.ledger_url:
            return self.storage.ledger_url
        if "://" in self.root:
            raise PolicyError(
                f"storage.ledger_url: missing, and {self.root!r} is not a local folder; name an SQLAlchemy URL, "
                "such as postgresql+psycopg://user@host/database"
            )
        return f"sqlite:///{self.root}/ledger.sqlite"


_Sections = TypeVar("_Sections", bound=Section)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Read and check a policy file; ``${NAME}`` in a value is replaced by the environment variable.

    :raises PolicyError: missing, unreadable or wrong; one line per mistake.
    """
    return load_sections(path, Policy, "policy file", f"write one with 'al init {Path(path).name}'")


def load_sections(path: str | os.PathLike[str], model: type[_Sections], what: str, way_out: str) -> _Sections:
    """Read and check a YAML file of sections; its folder becomes ``base_dir``.

    :param what: what the file is called in messages, and in ``way_out`` what to do where there is none.
    :raises PolicyError: missing, unreadable or wrong; one line per mistake.
    """
    file = Path(path).expanduser().resolve()
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PolicyError(f"{file}: no such {what}; {way_out}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{file}: cannot be read as UTF-8 YAML: {error}") from error
    if not isinstance(raw, dict):
        known = [name for name in model.model_fields if name != "base_dir"]
        raise PolicyError(
            f"{file}: expected sections such as '{known[0]}:' and '{known[1]}:', found {type(raw).__name__}"
        )
    try:
        return model.model_validate({**_expand(raw, ""), "base_dir": file.parent})
    except ValidationError as error:
        raise PolicyError("\n".join(_explain(file, what, each) for each in error.errors())) from None


def policy_from_environment() -> Policy:
    """Load the policy that ``AL_POLICY`` names.

    :raises PolicyError: the variable is not set, or the file is wrong.
    """
    path = os.environ.get(POLICY_VARIABLE)
    if not path:
        raise PolicyError(f"{POLICY_VARIABLE}: not set; point it at a policy file ('al init policy.yaml' writes one)")
    return load_policy(path)


def _expand(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _expand(each, f"{where}.{key}".lstrip(".")) for key, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, f"{where}.{index}") for index, each in enumerate(value)]
    if not isinstance(value, str):
        return value

    def substitute(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise PolicyError(f"{where}: {value!r} needs the environment variable {name}, which is not set")
        return os.environ[name]

    return _VARIABLE.sub(substitute, value)


def _explain(file: Path, what: str, error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or what
    value = error.get("input")
    shown = "" if isinstance(value, (dict, BaseModel)) or error["type"] == "missing" else f" (found {value!r})"
    message = str(error["msg"]).removeprefix("Value error, ")
    # Bare words that YAML takes for truth values, as in ``labels: {positive: yes}``.
    hint = "; put it in quotes" if isinstance(value, bool) and error["type"] == "string_type" else ""
    return f"{file}: {where}: {message}{shown}{hint}"
