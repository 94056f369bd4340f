"""A real Chromium, a window in it, and pictures of what it shows."""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
STEP_SECONDS = 60
"""How long one click or key press, or what it brings, may take on a busy machine."""
COLOURS = 256


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Open one Chromium that knows nothing; each person gets a context of their own in it."""
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, env={**os.environ, "HOME": profile})
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Window:
    """A person's browser window.

    :param noise: what the browser's console said, and what scripts announced in dialogs.
    :param alerts: those announcements alone.
    :param strangers: addresses outside the server that the page asked for.
    """

    page: Page
    address: str
    noise: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(STEP_SECONDS * 1000)
        expect.set_options(timeout=STEP_SECONDS * 1000)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("dialog", self._note_dialog)
        self.page.on("request", self._note_stranger)

    def _note(self, message: ConsoleMessage) -> None:
        # Browsers ask for an icon by themselves.
        if not message.location["url"].endswith("/favicon.ico"):
            self.noise.append(f"{message.type}: {message.text}")

    def _note_dialog(self, dialog: Dialog) -> None:
        self.alerts.append(dialog.message)
        self.noise.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note_stranger(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "data:", "blob:")):
            self.strangers.append(request.url)


def save_picture(page: Page, file: Path, *, whole: bool = False) -> None:
    """Save a picture of the window, or of the whole page; a palette divides its size by three, unseen by the eye."""
    shot = Image.open(io.BytesIO(page.screenshot(full_page=whole)))
    shot.convert("RGB").quantize(colors=COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
