"""What README.md and docs/ tell to run and to open is there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from al_assets.cli import app
from al_assets_tests.support import REPOSITORY
from benchmarks.__main__ import app as benchmarks

PAGES = [REPOSITORY / "README.md", REPOSITORY / "ARCHITECTURE.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")
_COMMAND = re.compile(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?(al|python -m benchmarks) ([^#|]*)")
NAMED = [page.name for page in PAGES]
# A place in the code: al_assets/x/y.py, or x/y.py and x/ of the package, with names in braces.
_PLACE = re.compile(r"`([\w{},]+/[\w/{},.]*|\w+\.py)`")


def places(text: str) -> list[str]:
    """Return the files and folders that a page names, one for each name in braces."""
    named = []
    for place in _PLACE.findall(text):
        before, brace, rest = place.partition("{")
        inside, _, after = rest.partition("}")
        named += [f"{before}{name}{after}" for name in inside.split(",")] if brace else [place]
    return named


def commands(text: str) -> list[list[str]]:
    """Return each ``al`` command, or benchmark, that stands in a block of code, with its arguments."""
    joined = text.replace("\\\n", " ")
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", joined, re.DOTALL | re.MULTILINE)
    lines = [line for line in joined.splitlines() if line.startswith("    ")]
    lines += [line for block in blocks for line in block.splitlines()]
    return [[found[1], *shlex.split(found[2])] for line in lines if (found := _COMMAND.match(line))]


def is_known(arguments: list[str]) -> bool:
    """Whether the program has the command and all its options; nothing of it is run."""
    program, *rest = arguments
    return CliRunner().invoke(app if program == "al" else benchmarks, [*rest, "--help"]).exit_code == 0


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_place_that_the_architecture_names_is_there() -> None:
    named = places((REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    assert [
        place for place in named if not any((top / place).exists() for top in (REPOSITORY, REPOSITORY / "al_assets"))
    ] == []
    assert len(named) > 50


@pytest.mark.parametrize("page", PAGES, ids=NAMED)
def test_every_command_and_its_options_are_there(page: Path) -> None:
    assert [each for each in commands(page.read_text(encoding="utf-8")) if not is_known(each)] == []


def test_commands_are_found_and_wrong_ones_are_told() -> None:
    text = (
        "    .venv/bin/al desk people -p p.yaml   # who\n\n```sh\nal desk serve \\\n  --port 1\n```\n    alpha beta\n"
        "    .venv/bin/python -m benchmarks coverage --quick\n"
    )
    assert commands(text) == [
        ["al", "desk", "people", "-p", "p.yaml"],
        ["python -m benchmarks", "coverage", "--quick"],
        ["al", "desk", "serve", "--port", "1"],
    ]
    assert not is_known(["al", "desk", "open"])
    assert not is_known(["python -m benchmarks", "coverage", "--fast"])
    assert not is_known(["al", "desk", "people", "-p", "p.yaml", "--all"])
    assert len([each for page in PAGES for each in commands(page.read_text(encoding="utf-8"))]) > 20


def test_what_the_page_without_dagster_shows_runs() -> None:
    page = (REPOSITORY / "docs" / "without-dagster.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(compile(block, "without-dagster.md", "exec"), names)
    first, second = names["first"].queue, names["second"].queue
    assert first.height == second.height == 40
    assert not set(first["item_id"]) & set(second["item_id"])
    assert names["second"].cold_start.why.startswith("After 40 labels")
