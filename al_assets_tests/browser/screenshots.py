"""Retake the pictures of docs/walkthrough.md: ``python -m al_assets_tests.browser.screenshots FOLDER``.

FOLDER holds a finished demo (``al demo --folder FOLDER``) of two iterations or more. It is copied, never changed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from playwright.sync_api import expect

from al_assets.demo.fetch import minilm_directory, static_model_directory
from al_assets.demo.prepare import DemoFolder, write_dagster_home
from al_assets_tests.browser.ui import Ui, browser, make_dev

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LOOP = '/asset-groups~not%20group%3A%22marts%22/'
FOLLOWING_EMBEDDINGS = 'key:"embeddings"+'
SETTLE_MS = 1_500


class Camera:
    """Takes pictures of a browser window.

    :param images: the folder they go to.
    """

    def __init__(self, ui: Ui, images: Path) -> None:
        self.ui = ui
        self._images = images

    def take(self, name: str) -> None:
        """Let animations end and take a picture of the window."""
        self.ui.page.wait_for_timeout(SETTLE_MS)
        self.ui.page.mouse.move(0, 0)
        self.ui.page.screenshot(path=self._images / f"{name}.png")


def take_all(folder: Path, images: Path) -> None:
    """Take every picture of the walkthrough from a finished demo."""
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        with camera(new_loop(folder, Path(scratch) / "new"), images) as before:
            first_iteration(before)
        with camera(finished_loop(folder, Path(scratch) / "finished"), images) as after:
            loop_graph(after)
            metadata(after)
        with camera(other_embedding(Path(scratch) / "finished"), images) as changed:
            backfill(changed)


@contextmanager
def camera(demo: DemoFolder, images: Path) -> Iterator[Camera]:
    """Open the UI of a demo in front of a camera."""
    with make_dev(demo.policy, demo.dagster_home) as address, browser(address) as ui:
        yield Camera(ui, images)


def new_loop(folder: Path, target: Path) -> DemoFolder:
    """Return the demo as it was before anything ran."""
    target.mkdir()
    for name in ("policy.yaml", "pool.jsonl"):
        shutil.copy(folder / name, target / name)
    demo = DemoFolder(target)
    write_dagster_home(demo.dagster_home)
    stop_sensor(demo)
    return demo


def finished_loop(folder: Path, target: Path) -> DemoFolder:
    """Return a copy of the demo that stays as it is: its sensor is off."""
    shutil.copytree(folder, target)
    demo = DemoFolder(target)
    stop_sensor(demo)
    return demo


def other_embedding(target: Path) -> DemoFolder:
    """Change the embedding model of a copy and bring the staleness mart up to date."""
    demo = DemoFolder(target)
    content = yaml.safe_load(demo.policy.read_text(encoding="utf-8"))
    was_static = content["embedding"]["kind"] == "static"
    kind, model = ("sentence_transformers", minilm_directory()) if was_static else ("static", static_model_directory())
    content["embedding"] = {"kind": kind, "model": str(model)}
    demo.policy.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return demo


def stop_sensor(demo: DemoFolder) -> None:
    """Turn the loop's sensor off, so that nothing moves while pictures are taken."""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", "sensor", "stop", "loop_sensor", "-w", "workspace.yaml"],
        cwd=IMAGES.parents[1],
        env={**os.environ, "AL_POLICY": str(demo.policy), "DAGSTER_HOME": str(demo.dagster_home)},
        check=True,
        capture_output=True,
    )


def first_iteration(camera: Camera) -> None:
    """The launch dialog with iteration 0000 added."""
    camera.ui.open("/asset-groups")
    camera.ui.open_job("curate")
    camera.ui.choose_new_iteration("0000")
    camera.take("materialize-curate")


def loop_graph(camera: Camera) -> None:
    """The graph of the loop without the marts, top to bottom."""
    page = camera.ui.page
    camera.ui.open(LOOP)
    expect(page.locator("foreignObject").get_by_text("learning", exact=True).first).to_be_visible()
    page.get_by_text("Hide navigation").click()
    for item in ("Expand all groups", "Change graph to vertical orientation"):
        page.wait_for_timeout(SETTLE_MS)
        page.mouse.click(500, 780, button="right")
        page.get_by_role("menuitem", name=item).click()
    page.wait_for_timeout(SETTLE_MS)
    page.reload()
    expect(page.locator("foreignObject").get_by_text("overlap_map", exact=True).first).to_be_visible()
    page.wait_for_timeout(2 * SETTLE_MS)
    for _ in range(2):
        page.get_by_role("button", name="zoom_out").click()
    camera.take("asset-graph")


def metadata(camera: Camera) -> None:
    """What the assets say of themselves."""
    last = max(path.stem for path in (camera.root / "kappa_report").glob("*.parquet"))
    for asset, key, entry, name in (
        ("overlap_map", "0000", "map", "overlap-map"),
        ("boundary_pairs", "0000", "most_instructive_pairs", "boundary-pairs"),
        ("kappa_report", last, "kappa_over_iterations", "kappa-report"),
    ):
        camera.ui.open_metadata(asset, key, entry)
        camera.take(name)
