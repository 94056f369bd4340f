"""Policies, ledgers and settings for the tests of Label Studio."""

from pathlib import Path
from typing import Any

from al_assets.config import Policy
from al_assets.review.label_studio.client import LabelStudioSettings
from al_assets.storage.ledger import Ledger
from al_assets_tests.support.ledger import SELECTED_BY, items, queue_frame
from al_assets_tests.support.policies import make_policy

SECRET = "0123456789abcdef"


def make_settings(url: str = "http://127.0.0.1:9", **fields: Any) -> LabelStudioSettings:
    known = {
        "api_key": "a" * 40,
        "raters": {"Anna@example.org": "anna", "ben@example.org": "ben"},
        "timeout_seconds": 20,
        "attempts": 2,
    }
    return LabelStudioSettings.model_validate({"url": url, **known, **fields})


def published(folder: Path, name: str, count: int = 4, **policy: Any) -> tuple[Ledger, Policy]:
    loaded = make_policy(f"sqlite:///{folder}/ledger.sqlite", name=name, **policy)
    loaded = loaded.model_copy(update={"base_dir": folder})
    ledger = Ledger.of(loaded)
    ledger.publish("0000", queue_frame(items(count)), SELECTED_BY)
    return ledger, loaded
