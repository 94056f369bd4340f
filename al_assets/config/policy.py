"""A whole policy file."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ValidationInfo, field_validator, model_validator

from al_assets.config.labelers import LabelerSettings
from al_assets.config.operation import AutomationSettings, ScaleSettings, StoppingSettings, StorageSettings
from al_assets.config.policy_text import PolicyText
from al_assets.config.pool import ClusteringSettings, EmbeddingSettings, PoolSource
from al_assets.config.review import DeskSettings, ReviewSettings
from al_assets.config.section import OPERATIONAL, PolicyError, Section
from al_assets.config.selection import SelectionSettings, SplitSettings
from al_assets.config.students import CalibrationSettings, SFTStudent, StudentSettings


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

    @field_validator("student")
    @classmethod
    def _asks_by_the_policy(cls, student: StudentSettings, found: ValidationInfo) -> StudentSettings:
        """Put question and guideline into a language model's prompt: as they change, so does the student."""
        if isinstance(student, SFTStudent) and "policy" in found.data:
            return student.model_copy(update={"prompt": found.data["policy"].fill(student.prompt)})
        return student

    @property
    def evaluation(self) -> Literal["crossfit", "held_out"]:
        """Whether every label teaches and measures, by students of other folds, or some only measure."""
        if self.split.evaluation is not None:
            return self.split.evaluation
        return "held_out" if isinstance(self.student, SFTStudent) or self.calibration.folds == 0 else "crossfit"

    @property
    def calibration_folds(self) -> int:
        """How many students are trained for out-of-fold scores: as set, else what one takes to train allows."""
        if self.calibration.folds is not None:
            return self.calibration.folds
        if self.student.kind == "sft":
            return 3 if self.evaluation == "crossfit" else 0
        return 5 if self.student.kind == "linear" else 3

    @model_validator(mode="after")
    def _crossfit_has_folds(self) -> Self:
        if self.split.evaluation == "crossfit" and self.calibration.folds == 0:
            raise ValueError(
                "split.evaluation: crossfit takes students of other folds, and calibration.folds is 0; give "
                "calibration.folds 2 or more, or set split.evaluation to held_out"
            )
        return self

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
