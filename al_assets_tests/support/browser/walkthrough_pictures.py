"""Retake the pictures of docs/walkthrough.md: ``python -m al_assets_tests.support.browser.walkthrough_pictures DEMO``.

DEMO holds a finished demo (``al demo --folder FOLDER``) of two iterations or more. It is copied, never changed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from playwright.sync_api import expect

from al_assets.demo.fetch import minilm_directory, static_model_directory
from al_assets.demo.prepare import DemoFolder, write_dagster_home
from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.browser.dagster_ui import SIZE, Ui, browser, make_dev
from al_assets_tests.support.browser.window import save_picture
from al_assets_tests.support.processes import wait_for

IMAGES = REPOSITORY / "docs" / "images"
WITHOUT_MARTS = 'not group:"marts"'
FOLLOWING_EMBEDDINGS = 'key:"embeddings"+'
STALENESS = 'key:"staleness" or key:"materializations" or key:"dependencies"'
RUN_SECONDS = 300.0
SETTLE_MS = 1_500
TALL = 1_060
"""Height at which the whole table of staleness is seen."""
EMPTY_PLACE = (450, 800)
"""Where the graph has no node to click."""


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
        save_picture(self.ui.page, self._images / f"{name}.png")


def take_all(folder: Path, images: Path) -> None:
    """Take every picture of the walkthrough from a finished demo."""
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        with camera(new_loop(folder, Path(scratch) / "new"), images) as before:
            first_iteration(before)
        with camera(finished_loop(folder, Path(scratch) / "finished"), images) as after:
            loop_graph(after)
            metadata(after, latest_report(folder))
            change_embedding(DemoFolder(Path(scratch) / "finished"))
            backfill(after)


@contextmanager
def camera(demo: DemoFolder, images: Path) -> Iterator[Camera]:
    """Open the UI of a demo in front of a camera."""
    with make_dev(demo.policy, demo.dagster_home) as address, browser(address) as ui:
        ui.open_lineage()
        ui.dismiss_greeting()
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


def latest_report(folder: Path) -> str:
    """Return the newest iteration that has a report."""
    reports = [path.stem for path in folder.glob("runs/*/kappa_report/[0-9]*.parquet")]
    if len(reports) < 2:
        raise ValueError(f"folder: {folder} holds {len(reports)} kappa reports; run `al demo` there for 2 or more")
    return max(reports)


def change_embedding(demo: DemoFolder) -> None:
    """Name another embedding model in the policy file, as a person would."""
    content = yaml.safe_load(demo.policy.read_text(encoding="utf-8"))
    was_static = content["embedding"]["kind"] == "static"
    kind, model = ("sentence_transformers", minilm_directory()) if was_static else ("static", static_model_directory())
    content["embedding"] = {"kind": kind, "model": str(model)}
    demo.policy.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def stop_sensor(demo: DemoFolder) -> None:
    """Turn the loop's sensor off, so that nothing moves while pictures are taken."""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", "sensor", "stop", "loop_sensor", "-w", "workspace.yaml"],
        cwd=REPOSITORY,
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
    """The graph of the loop without the marts, from top to bottom."""
    page = camera.ui.page
    camera.ui.open_lineage(WITHOUT_MARTS)
    page.get_by_text("Hide navigation").click()
    for item in ("Expand all groups", "Change graph to vertical orientation"):
        page.wait_for_timeout(SETTLE_MS)
        page.mouse.click(*EMPTY_PLACE, button="right")
        page.get_by_role("menuitem", name=item).click()
    page.wait_for_timeout(SETTLE_MS)
    page.reload()
    expect(camera.ui.in_graph("overlap_map")).to_be_visible()
    page.wait_for_timeout(SETTLE_MS)
    for _ in range(3):
        page.get_by_role("button", name="zoom_out").click()
    page.mouse.move(*EMPTY_PLACE)
    page.mouse.down()
    page.mouse.move(EMPTY_PLACE[0], EMPTY_PLACE[1] + 24, steps=4)
    page.mouse.up()
    camera.take("asset-graph")


def metadata(camera: Camera, last: str) -> None:
    """What the assets say of themselves.

    :param last: the newest iteration with a report.
    """
    for asset, key, entry, name in (
        ("overlap_map", "0000", "map", "overlap-map"),
        ("boundary_pairs", "0000", "most_instructive_pairs", "boundary-pairs"),
        ("kappa_report", last, "kappa_over_iterations", "kappa-report"),
    ):
        camera.ui.open_metadata(asset, key, entry)
        camera.take(name)


def backfill(camera: Camera) -> None:
    """What is out of date after the embedding model was changed, and the dialog that brings it up to date."""
    ui, page = camera.ui, camera.ui.page
    ui.open_lineage(STALENESS)
    page.get_by_role("button", name="Reload definitions").click()
    expect(page.get_by_text("Definitions reloaded")).to_be_visible()
    page.get_by_role("button", name="Materialize all").click()
    ui.view_launched_run()
    status = wait_for("end of the run", ui.run_status, RUN_SECONDS)
    if status != "Success":
        raise RuntimeError(f"run: the marts ended with {status}; see {page.url}")
    ui.open_metadata("staleness", None, "latest_rows")
    page.set_viewport_size({"width": SIZE[0], "height": TALL})
    camera.take("staleness")
    page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
    ui.open_lineage(FOLLOWING_EMBEDDINGS)
    ui.open_launch_dialog()
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.get_by_role("button", name="Launch backfill")).to_be_enabled()
    camera.take("backfill")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a finished demo")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where the pictures go")
    arguments = parser.parse_args()
    take_all(arguments.folder.absolute(), arguments.images.absolute())


if __name__ == "__main__":
    main()
