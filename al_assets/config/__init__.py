"""The policy file: one YAML file per policy, its sections as pydantic models, and their fingerprints."""

from al_assets.config.labelers import (
    CausalLMSettings,
    ClassifierSettings,
    CombinationSettings,
    FunctionsSettings,
    KeywordsSettings,
    LabelerSettings,
    OpenAISettings,
    PromptSettings,
    VLLMSettings,
)
from al_assets.config.operation import (
    AutomationSettings,
    RaySettings,
    ScaleSettings,
    StoppingSettings,
    StorageSettings,
)
from al_assets.config.policy import Policy
from al_assets.config.policy_text import Example, LabelNames, PolicyText
from al_assets.config.pool import ClusteringSettings, EmbeddingSettings, PoolSource
from al_assets.config.reading import POLICY_VARIABLE, load_policy, load_sections, policy_from_environment
from al_assets.config.review import DeskSettings, ReviewSettings, is_loopback
from al_assets.config.section import OPERATIONAL, PolicyError, Positive, Section, Share, Text, fingerprint_of, semantic
from al_assets.config.selection import SelectionSettings, Shares, SplitSettings, StrategyName
from al_assets.config.students import (
    CalibrationSettings,
    EncoderStudent,
    HeadStart,
    LinearHeadStart,
    LinearStudent,
    SFTStudent,
    StudentSettings,
)
