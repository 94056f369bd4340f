"""A Label Studio server: its settings file, and requests through its SDK, tried again and saying what is wrong."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from json import JSONDecodeError
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from al_assets.config import Policy, Section, load_sections

SETTINGS_FILE = "label_studio.yaml"
"""Looked for beside the policy file."""
_SECRET_LENGTH = 16
_EXAMPLE = (
    "write one with 'label_studio:' and below it url, api_key (such as ${LABEL_STUDIO_API_KEY}) and raters, "
    "see docs/label-studio.md"
)
_Answer = TypeVar("_Answer")
_OLDEST = (1, 20)
_PAGE = 500
# The SDK's own retries, which differ from version to version, are left out: ``Server.call`` tries again.
_OPTIONS = {"max_retries": 0}


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


class Server(AbstractContextManager["Server"]):
    """A Label Studio server.

    :raises LabelStudioError: the SDK is not installed, nothing answers, what answers is no Label Studio of a known
        version, or it refuses the key.
    """

    def __init__(self, settings: LabelStudioSettings) -> None:
        self.settings = settings
        self._http = httpx.Client(timeout=settings.timeout_seconds, follow_redirects=True)
        try:
            self._sdk = self.call(lambda: _sdk(settings, self._http))
            self._check_version()
            self.call(lambda: self._sdk.users.whoami(request_options=_OPTIONS))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def call(self, request: Callable[[], _Answer], *, again: bool = True) -> _Answer:
        """Return what a request answers.

        :param again: the request may be sent again when nothing or a passing error came back.
        :raises LabelStudioError: with the way out.
        """
        tries = Retrying(
            stop=stop_after_attempt(self.settings.attempts if again else 1),
            wait=wait_random_exponential(multiplier=0.5, max=10),
            retry=retry_if_exception(_passing),
            reraise=True,
        )
        try:
            return tries(request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LabelStudioUnavailableError(_unreachable(self.settings, error)) from error
        except (JSONDecodeError, KeyError, TypeError) as error:
            raise LabelStudioError(_no_label_studio(self.settings)) from error
        except Exception as error:
            # The SDK's error class cannot be named without importing the SDK.
            if not hasattr(error, "status_code"):
                raise
            kind = LabelStudioUnavailableError if _passing(error) else LabelStudioError
            raise kind(_refused(self.settings, error)) from error

    def project(self, number: int) -> Any:
        """Return a project.

        :raises LabelStudioError: there is none with this number.
        """
        return self.call(lambda: self._sdk.projects.get(number, request_options=_OPTIONS))

    def projects_titled(self, title: str) -> list[Any]:
        """Return the projects with exactly this title."""
        projects = self.call(lambda: list(self._sdk.projects.list(title=title, request_options=_OPTIONS)))
        return [project for project in projects if project.title == title]

    def create_project(self, fields: dict[str, Any]) -> int:
        """Make a project and return its number."""
        made = self.call(lambda: self._sdk.projects.create(**fields, request_options=_OPTIONS), again=False)
        return int(made.id)

    def update_project(self, number: int, fields: dict[str, Any]) -> None:
        """Change a project."""
        self.call(lambda: self._sdk.projects.update(number, **fields, request_options=_OPTIONS))

    def tasks(self, project: int, *, annotations: bool) -> Iterator[dict[str, Any]]:
        """Yield a project's tasks, with their annotations if asked for."""
        fields = "all" if annotations else "task_only"

        def page(number: int) -> Any:
            return self._sdk.tasks.list(
                project=project, fields=fields, page=number, page_size=_PAGE, request_options=_OPTIONS
            )

        number, total = 1, 1
        while (number - 1) * _PAGE < total:
            answer = self.call(lambda at=number: page(at))  # type: ignore[misc]
            for task in answer.items or ():
                # By hand: versions of the SDK differ in what they take annotations for.
                yield {"id": task.id, "data": task.data, "annotations": task.annotations if annotations else None}
            total = answer.response.total
            number += 1

    def add_tasks(self, project: int, data: list[dict[str, str]]) -> None:
        """Add tasks to a project; not sent again by itself, as that could add them twice."""
        tasks = [{"data": content} for content in data]
        self.call(
            lambda: self._sdk.projects.import_tasks(project, request=tasks, request_options=_OPTIONS), again=False
        )

    def emails(self) -> dict[int, str]:
        """Return the e-mail addresses of the server's users by their numbers."""
        users = self.call(lambda: self._sdk.users.list(request_options=_OPTIONS))
        return {int(user.id): (user.email or "").casefold() for user in users}

    def register_webhook(self, project: int, url: str, actions: list[str], headers: dict[str, str]) -> None:
        """Have the server call a URL when something happens to a project's annotations; again it changes nothing."""
        known = self.call(lambda: self._sdk.webhooks.list(project=str(project), request_options=_OPTIONS))
        wanted = {"actions": actions, "headers": headers, "send_payload": False, "send_for_all_actions": False}
        same = [hook for hook in known if hook.url == url and hook.project == project]
        if same:
            self.call(
                lambda: self._sdk.webhooks.update(
                    same[0].id, url=url, is_active=True, **wanted, request_options=_OPTIONS
                )
            )
            return
        self.call(
            lambda: self._sdk.webhooks.create(url=url, project=project, **wanted, request_options=_OPTIONS),
            again=False,
        )

    def _check_version(self) -> None:
        versions = self.call(lambda: self._sdk.versions.get(request_options=_OPTIONS))
        release = str(getattr(versions, "release", None) or "")
        parts = release.split(".")
        if not all(part.isdigit() for part in parts[:2]) or len(parts) < 2:
            raise LabelStudioError(_no_label_studio(self.settings))
        version = (int(parts[0]), int(parts[1]))
        if version < _OLDEST or version[0] > 1:
            raise LabelStudioError(
                f"label_studio.url: {self.settings.url} is Label Studio {release}; this was checked against 1.23 and "
                f"speaks to {'.'.join(map(str, _OLDEST))} up to any 1.x: use such a server, or go by files "
                "('al labels export --iteration')"
            )


def _sdk(settings: LabelStudioSettings, http: httpx.Client) -> Any:
    try:
        from label_studio_sdk.client import LabelStudio
    except ImportError as error:
        raise LabelStudioError(
            f"label_studio: the SDK cannot be imported ({error}); install it: pip install 'al_assets[label-studio]'"
        ) from error
    client: Any = LabelStudio
    return client(base_url=settings.url, api_key=settings.api_key.get_secret_value().strip(), httpx_client=http)


def _passing(error: BaseException) -> bool:
    status = getattr(error, "status_code", None)
    return isinstance(error, httpx.TransportError) or status == 429 or (isinstance(status, int) and status >= 500)


def _unreachable(settings: LabelStudioSettings, error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return (
            f"label_studio.url: {settings.url} did not answer within {settings.timeout_seconds:g} s, "
            f"{settings.attempts} times; is the server busy? raise label_studio.timeout_seconds, or try again later"
        )
    return (
        f"label_studio.url: {settings.url} cannot be reached ({error}); is the server running, and is this its address?"
    )


def _no_label_studio(settings: LabelStudioSettings) -> str:
    return (
        f"label_studio.url: what answers at {settings.url} is no Label Studio; give the address of its start page, "
        "without /api"
    )


def _refused(settings: LabelStudioSettings, error: Any) -> str:
    said = _said(error.body)
    if error.status_code < 400 or (error.status_code == 404 and not _is_label_studios(error.body)):
        return _no_label_studio(settings)
    if error.status_code in (401, 403):
        return (
            f"label_studio.api_key: {settings.url} does not let it in ({error.status_code}: {said}); copy an access "
            "token under Account & Settings there (a legacy token must be allowed by the organization)"
        )
    if error.status_code == 404:
        return (
            f"label_studio.project: not found at {settings.url} ({said}): it was deleted, or the key's user may not "
            "see it; remove the setting, and push makes a new one"
        )
    return f"label_studio: {settings.url} refuses ({error.status_code}: {said})"


def _is_label_studios(body: Any) -> bool:
    return isinstance(body, dict) and "status_code" in body


def _said(body: Any) -> str:
    """Return what an error's body says, in a line."""
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    return " ".join(str(body).split())[:300]
