"""A whole policy file."""

from pathlib import Path
from typing import Annotated

from al_assets.config.labelers import LabelerSettings
from al_assets.config.operation import AutomationSettings, ScaleSettings, StoppingSettings, StorageSettings
from al_assets.config.policy_text import PolicyText
from al_assets.config.pool import ClusteringSettings, EmbeddingSettings, PoolSource
from al_assets.config.review import DeskSettings, ReviewSettings
from al_assets.config.section import OPERATIONAL, PolicyError, Section
from al_assets.config.selection import SelectionSettings, SplitSettings
from al_assets.config.students import CalibrationSettings, StudentSettings


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
        """How many students are trained for out-of-fold scores: as set, else what one takes to train allows."""
        if self.calibration.folds is not None:
            return self.calibration.folds
        return {"linear": 5, "encoder": 3, "sft": 0}[self.student.kind]

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
