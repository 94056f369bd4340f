from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser

from al_assets.demo.prepare import write_dagster_home
from al_assets_tests.support.browser import dagster_ui
from al_assets_tests.support.browser.dagster_ui import Ui, make_dev
from al_assets_tests.support.browser.window import CHROMIUM, chromium
from al_assets_tests.support.small_loop import pool_rows, write_policy, write_pool

MARKUP = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg/onload=alert(1)>",
    "<a href=javascript:alert(1)>win</a>",
    "[win](javascript:alert(1))",
    "![](http://evil.example/x)",
    "https://evil.example/win",
    "www.evil.example you@evil.example",
    "**bold** ~~gone~~ `code` | cell",
    "&lt;b&gt; \\<b>x</b> <!-- hidden -->",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for the desk's pages."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (Debian package chromium)")
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def texts_with_markup(small_texts: pl.DataFrame) -> list[str]:
    """The texts of the pool, each with a piece of markup before it."""
    return [f"{MARKUP[number % len(MARKUP)]} {text}" for number, text in enumerate(small_texts["text"])]


@pytest.fixture(scope="module")
def ui(
    small_texts: pl.DataFrame,
    texts_with_markup: list[str],
    small_embedder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ui]:
    """A browser on a loop that was never run, whose pool is full of markup."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (Debian package chromium)")
    folder: Path = tmp_path_factory.mktemp("browser")
    write_pool(folder, pool_rows(small_texts.with_columns(text=pl.Series(texts_with_markup))))
    # A partition without a queue is work for the sensor: with a short interval it might be faster than the click.
    policy = write_policy(folder, small_embedder, automation={"sensor_interval_seconds": 600})
    write_dagster_home(folder / "dagster")
    with make_dev(policy, folder / "dagster") as address, dagster_ui.browser(address) as window:
        yield window
