from collections.abc import Iterator

import pytest

from al_assets.review.desk import app as application
from al_assets.review.desk.overview import adjudication_pages, dashboard_pages, events, policy_pages


@pytest.fixture(autouse=True)
def _all_pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    ours = (adjudication_pages, policy_pages, dashboard_pages, events)
    monkeypatch.setattr(application, "PAGES", tuple(dict.fromkeys((*application.PAGES, *ours))))
    return
