from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from al_assets.config import PolicyError
from al_assets.review.label_studio.client import load_settings
from al_assets_tests.support.label_studio.published import make_settings
from al_assets_tests.support.policies import make_policy

FILE = """\
label_studio:
  url: https://label.example.org/
  api_key: ${AL_TEST_LABEL_STUDIO_KEY}
  raters: {Anna@Example.org: anna, ben@example.org: ben}
"""


def test_a_settings_file_takes_the_key_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "label_studio.yaml"
    file.write_text(FILE)
    with pytest.raises(PolicyError, match="needs the environment variable AL_TEST_LABEL_STUDIO_KEY, which is not set"):
        load_settings(file)
    monkeypatch.setenv("AL_TEST_LABEL_STUDIO_KEY", "not-to-be-seen")
    settings = load_settings(file)
    assert settings.url == "https://label.example.org"
    assert settings.api_key.get_secret_value() == "not-to-be-seen"
    assert settings.raters == {"anna@example.org": "anna", "ben@example.org": "ben"}
    assert "not-to-be-seen" not in repr(settings)
    assert settings.title_for(make_policy("sqlite://")) == "Review: spam"


def test_a_missing_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"no such Label Studio settings file; write one with 'label_studio:'"):
        load_settings(tmp_path / "label_studio.yaml")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"raters": {"a@x.org": "anna", "b@x.org": "anna"}}, "anna is named for two e-mail addresses"),
        ({"api_key": " "}, "api_key: empty; copy an access token under Account & Settings"),
        ({"webhook_secret": "tellnobody"}, "webhook_secret: shorter than 16 characters; make one with: openssl rand"),
        ({"rater": {}}, "unknown key 'rater'; did you mean 'raters'"),
    ],
)
def test_wrong_settings_are_refused_without_showing_secrets(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        make_settings(**fields)
    shown = "\n".join(str(each["msg"]) for each in caught.value.errors())
    assert "tellnobody" not in shown
