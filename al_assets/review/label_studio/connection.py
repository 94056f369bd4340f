"""How a Label Studio server is reached, and which of its users is which rater: a YAML file of its own."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from al_assets.config import Policy, Section, load_sections

SETTINGS_FILE = "label_studio.yaml"
"""Looked for beside the policy file."""
_SECRET_LENGTH = 16
_EXAMPLE = (
    "write one with 'label_studio:' and below it url, api_key (such as ${LABEL_STUDIO_API_KEY}) and raters, "
    "see docs/label-studio.md"
)


class LabelStudioError(ValueError):
    """Label Studio could not be spoken to, or refused; the message names the setting, the value and the way out."""


class LabelStudioUnavailableError(LabelStudioError):
    """Nothing answers, or the server says that it cannot now; later it may."""


class LabelStudioSettings(Section):
    """A Label Studio server and the project that holds the policy's questions.

    :param api_key: a personal access token or a legacy token of a user who may change the project.
    :param raters: the raters' names in the policy by the e-mail addresses under which they sign in to Label Studio.
    :param project: the project's number; without it the project with the title ``title`` is used, or made.
    :param title: by default ``Review: `` and the policy's name.
    :param webhook_secret: what Label Studio's calls to the desk must carry; without one the desk takes none.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+(/\S*)?$")]
    api_key: SecretStr
    raters: Annotated[dict[str, str], Field(min_length=1)]
    project: Annotated[int, Field(ge=1)] | None = None
    title: Annotated[str, Field(min_length=3, max_length=50)] | None = None
    webhook_secret: SecretStr | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] = 30
    attempts: Annotated[int, Field(ge=1)] = 4

    @field_validator("url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("raters")
    @classmethod
    def _one_user_each(cls, raters: dict[str, str]) -> dict[str, str]:
        names = list(raters.values())
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is named for two e-mail addresses; each rater is one user")
        return {email.strip().casefold(): name for email, name in raters.items()}

    @model_validator(mode="after")
    def _usable_secrets(self) -> Self:
        # Here, so that no message shows the secret.
        if not self.api_key.get_secret_value().strip():
            raise ValueError("api_key: empty; copy an access token under Account & Settings in Label Studio")
        if self.webhook_secret and len(self.webhook_secret.get_secret_value()) < _SECRET_LENGTH:
            raise ValueError(
                f"webhook_secret: shorter than {_SECRET_LENGTH} characters; make one with: openssl rand -hex 16"
            )
        return self

    def title_for(self, policy: Policy) -> str:
        """Return the project's title."""
        return self.title or f"Review: {policy.policy.name}"[:50]


class _SettingsFile(Section):
    """A settings file: one section."""

    label_studio: LabelStudioSettings
    base_dir: Path = Path()


def settings_path(policy: Policy) -> Path:
    """Return where the settings of a policy's Label Studio project are looked for."""
    return policy.base_dir / SETTINGS_FILE


def load_settings(path: Path) -> LabelStudioSettings:
    """Read a settings file; ``${NAME}`` in a value is replaced by the environment variable.

    :raises PolicyError: missing, unreadable or wrong; one line per mistake.
    """
    return load_sections(path, _SettingsFile, "Label Studio settings file", _EXAMPLE).label_studio
