"""What keeps the house easy to walk through: small rooms, names that stand once, tests where one looks for them."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from al_assets_tests.support import REPOSITORY

PACKAGE, BENCHMARKS, TESTS = (REPOSITORY / name for name in ("al_assets", "benchmarks", "al_assets_tests"))
END_TO_END = ("browser", "daemon", "loop")
OF_THE_REPOSITORY = {"docker", "docs", "house", "pytest_hooks"}
"""Tests of what is no module."""
MOST_MODULES_OF_A_ROOM, MOST_LINES_OF_A_MODULE = 16, 350
MOST_MODULES, MOST_LINES = 311, 40_880
# An asset, a command, a page and a table are named after what they show; these lists may only become shorter.
NAMES_OF_SEVERAL_MODULES = {
    "__init__", "cells", "checks", "clusters", "desk", "figures", "incumbent", "labels", "learning",
    "ledger", "pages", "pictures", "policy_gaps", "pool", "queries", "queue", "round", "run", "settings", "store",
    "texts", "votes",
}  # fmt: skip
NAMES_OF_SEVERAL_CLASSES: set[str] = set()


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def test_every_test_module_mirrors_a_module() -> None:
    astray = []
    for file in modules(TESTS):
        place = file.relative_to(TESTS)
        if not file.name.startswith("test_") or place.parts[0] in END_TO_END:
            continue
        name = file.stem.removeprefix("test_")
        tested = (REPOSITORY if place.parts[0] == "benchmarks" else PACKAGE) / place.parent
        modules_and_rooms = {path.stem.strip("_") for path in tested.glob("*") if path.suffix in ("", ".py")}
        mirrored = {*modules_and_rooms, tested.name}
        if len(place.parts) == 1:
            mirrored |= OF_THE_REPOSITORY
        if not any(name == each or name.startswith(f"{each}_") for each in mirrored):
            astray.append(str(place))
    assert astray == []


@pytest.mark.parametrize("house", [PACKAGE, BENCHMARKS, TESTS / "support"], ids=lambda house: house.name)
def test_no_room_holds_too_many_modules(house: Path) -> None:
    rooms = {str(room.relative_to(REPOSITORY)): room for room in {file.parent for file in modules(house)}}
    sizes = {name: len(list(room.glob("*.py"))) - (room / "__init__.py").exists() for name, room in rooms.items()}
    assert {name: size for name, size in sizes.items() if size > MOST_MODULES_OF_A_ROOM} == {}


def test_the_package_does_not_grow() -> None:
    lines = {str(file.relative_to(PACKAGE)): file.read_text(encoding="utf-8").count("\n") for file in modules(PACKAGE)}
    assert {name: count for name, count in lines.items() if count > MOST_LINES_OF_A_MODULE} == {}
    assert len(lines) <= MOST_MODULES
    assert sum(lines.values()) <= MOST_LINES


def test_modules_have_names_of_their_own() -> None:
    assert repeated(((file.stem, file) for file in modules(PACKAGE)), NAMES_OF_SEVERAL_MODULES) == {}


def test_public_classes_have_names_of_their_own() -> None:
    classes = (
        (node.name, file)
        for file in modules(PACKAGE)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert repeated(classes, NAMES_OF_SEVERAL_CLASSES) == {}


def repeated(names: Iterable[tuple[str, Path]], allowed: set[str]) -> dict[str, list[str]]:
    """Return the names that stand in several files and are not allowed to, with these files."""
    places = defaultdict(list)
    for name, file in names:
        places[name].append(str(file.relative_to(REPOSITORY)))
    return {name: files for name, files in places.items() if len(files) > 1 and name not in allowed}


def test_nobody_is_he() -> None:
    said = [
        f"{file.relative_to(REPOSITORY)}:{number}: {line.strip()}"
        for suffix in ("py", "html", "sql", "md", "yaml")
        for file in sorted(PACKAGE.rglob(f"*.{suffix}"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\b(he|him|his|himself)\b", line, re.IGNORECASE)
    ]
    assert said == []
