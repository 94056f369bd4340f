"""The Dagster UI in a real browser, used as a person would: `make dev` behind it, clicks in front of it."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
from playwright.sync_api import Locator, expect

from al_assets_tests.support.browser.window import Window, chromium
from al_assets_tests.support.daemon.services import START_SECONDS
from al_assets_tests.support.processes import Service, wait_for
from benchmarks.processes import free_port

SIZE = (1400, 900)


@contextlib.contextmanager
def make_dev(policy: Path, home: Path) -> Iterator[str]:
    """Run what ``make dev`` runs and yield its address; webserver, daemon and code location end with the block."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "-w", "workspace.yaml"]
    command += ["-h", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "AL_POLICY": str(policy), "DAGSTER_HOME": str(home), "OMP_NUM_THREADS": "1"}
    service = Service("dev", command, environment, home)
    service.start()
    try:
        wait_for("webserver", lambda: _answers(port, service), START_SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        service.stop()


class Ui(Window):
    """A person's window on the Dagster UI."""

    def __post_init__(self) -> None:
        super().__post_init__()
        skip = self.page.get_by_role("button", name="Skip", exact=True)
        self.page.add_locator_handler(skip, lambda: skip.click())

    def open(self, path: str) -> None:
        """Go to a page of the UI."""
        self.page.goto(f"{self.address}{path}")

    def dismiss_greeting(self) -> None:
        """Skip the dialog that greets the first visitor of a Dagster instance; it comes a moment after the page."""
        skip = self.page.get_by_role("button", name="Skip", exact=True)
        with contextlib.suppress(AssertionError):
            expect(skip).to_be_visible(timeout=10_000)
        with contextlib.suppress(AssertionError):
            expect(skip).to_be_hidden()

    def open_lineage(self, selection: str = "") -> None:
        """Go to the graph of all assets, or of those that a selection names in Dagster's syntax."""
        self.open(f"/asset-groups~{quote(selection, safe='')}/" if selection else "/asset-groups")
        expect(self.page.locator("foreignObject").first).to_be_visible()

    def in_graph(self, name: str) -> Locator:
        """Return the box of a group or an asset in the graph."""
        return self.page.locator("foreignObject").get_by_text(name, exact=True).first

    def open_job(self, job: str) -> None:
        """Find a job through the menu."""
        self.page.get_by_role("link", name="Jobs").first.click()
        self.page.get_by_role("link", name=job).first.click()
        expect(self.page.get_by_role("button", name="Materialize all")).to_be_visible()

    def choose_new_iteration(self, key: str) -> None:
        """On a job's page: open the launch dialog and add a partition, which is then chosen."""
        self.open_launch_dialog()
        self.page.get_by_text("Add a partition").click()
        self.page.get_by_placeholder("name", exact=True).fill(key)
        self.page.get_by_role("button", name="Save").click()
        chosen = self.page.get_by_text("1 partition", exact=True)
        with contextlib.suppress(AssertionError):
            expect(chosen).to_be_visible(timeout=10_000)
        if not chosen.is_visible():
            # On a busy machine the dialog's list may arrive late and undo the choice.
            self.page.get_by_text("Select a partition or create one").click()
            self.page.get_by_text(key, exact=True).filter(visible=True).last.click()
        expect(self.launch_button("Launch 1 run")).to_be_enabled()

    def open_launch_dialog(self) -> None:
        """On a job's or the lineage page: press 'Materialize all' and confirm, where Dagster asks for that."""
        sure = self.page.get_by_role("button", name="Confirm")
        chosen = self.page.get_by_text("Partition selection")
        self.page.get_by_role("button", name="Materialize all").click()
        expect(sure.or_(chosen)).to_be_visible()
        if sure.is_visible():
            sure.click()
        expect(chosen).to_be_visible()

    def launch(self) -> str:
        """Launch the one run of the dialog, go to its page and return its id."""
        self.launch_button("Launch 1 run").click()
        return self.view_launched_run()

    def view_launched_run(self) -> str:
        """Follow the message that a run was launched and return the run's id."""
        self.page.get_by_role("button", name="View", exact=True).or_(self.page.get_by_text("View", exact=True)).click()
        self.page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))
        return self.page.url.split("/runs/")[1][:36]

    def launch_button(self, name: str) -> Locator:
        """Return the button that ends the launch dialog."""
        return self.page.get_by_role("button", name=name)

    def run_status(self) -> str | None:
        """Return how the run on this page ended; None while it has not."""
        for status in ("Success", "Failure", "Canceled"):
            if self.page.get_by_text(status, exact=True).first.is_visible():
                return status
        return None

    def open_metadata(self, asset: str, key: str | None, entry: str) -> Locator:
        """Return how an entry of metadata is shown: short Markdown in place, long in a dialog.

        :param key: the iteration; None for an asset that has none.
        """
        self.open(f"/assets/{asset}?view=partitions&partition={key}" if key else f"/assets/{asset}?view=events")
        row = self.page.locator("tr").filter(has=self.page.get_by_text(entry, exact=True))
        expect(row).to_be_visible()
        closed = row.get_by_text("[Show Markdown]")
        if closed.is_visible():
            closed.click()
            shown = self.page.locator(".dagster-markdown").last
        else:
            shown = row.locator(".dagster-markdown")
        expect(shown).to_be_visible()
        return shown


@contextlib.contextmanager
def browser(address: str) -> Iterator[Ui]:
    """Open a Chromium on the Dagster UI, and close it at the end."""
    with chromium() as opened:
        yield Ui(opened.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}), address)


def _answers(port: int, service: Service) -> bool:
    if service.has_ended:
        raise RuntimeError(f"dagster dev ended: {service.log.read_text(errors='replace')[-3000:]}")
    query = "{workspaceOrError {... on Workspace {locationEntries {loadStatus locationOrLoadError {__typename}}}}}"
    try:
        answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=30).json()
    except (httpx.TransportError, ValueError):
        return False
    entries = answer["data"]["workspaceOrError"].get("locationEntries", [])
    loaded = [each["loadStatus"] == "LOADED" and each["locationOrLoadError"] for each in entries]
    if any(each and each["__typename"] == "PythonError" for each in loaded):
        raise RuntimeError(f"the code location does not load: {service.log.read_text(errors='replace')[-3000:]}")
    return bool(loaded) and all(loaded)
