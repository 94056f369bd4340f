"""A report as headings, paragraphs, tables, pictures and code, and what it is in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a table.

    :param strong: shown in bold.
    """

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Paragraph:
    """Plain text; nothing in it is markup."""

    text: str
    kind: str = "paragraph"


@dataclass(frozen=True)
class Bullets:
    """A list of plain texts."""

    texts: Sequence[str]
    kind: str = "bullets"


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first ``names`` columns are names, the others figures."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    names: int = 1
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A picture by the name of its file, with a text for those who cannot see it."""

    name: str
    alt: str
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class Code:
    """Text as it is in a file."""

    text: str
    language: str = ""
    kind: str = "code"


Block = Paragraph | Bullets | Table | Picture | Code


@dataclass(frozen=True)
class Part:
    """A heading and what stands below it.

    :param level: 2 for a section, 3 for a part of one.
    """

    title: str
    blocks: Sequence[Block]
    level: int = 2


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    parts: Sequence[Part]


def markdown(document: Document) -> str:
    """Return a document in GitHub's Markdown; pictures are linked as ``pictures/NAME.svg``."""
    found = [f"# {_escaped(document.title)}"]
    for part in document.parts:
        found.append(f"{'#' * part.level} {_escaped(part.title)}")
        found += [_block(block) for block in part.blocks]
    return "\n\n".join(found) + "\n"


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return _escaped(block.text)
        case Bullets():
            return "\n".join(f"- {_escaped(text)}" for text in block.texts)
        case Picture():
            return f"![{_escaped(block.alt)}](pictures/{block.name}.svg)\n\n{_escaped(block.caption)}"
        case Code():
            fence = "```"
            while fence in block.text:
                fence += "`"
            return f"{fence}{block.language}\n{block.text.rstrip()}\n{fence}"
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    sides = [" --- " if at < table.names else " ---: " for at in range(len(table.header))]
    lines = [_line([_escaped(name) for name in table.header]), "|" + "|".join(sides) + "|"]
    for row in table.rows:
        texts = [(_escaped(cell.text), cell.strong) for cell in row]
        lines.append(_line([f"**{text}**" if strong and text else text for text, strong in texts]))
    caption = f"{_escaped(table.caption)}\n\n" if table.caption else ""
    return caption + "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    """Return a text in which nothing is markup, on one line."""
    for mark in "\\`*<>[]|#":
        text = text.replace(mark, f"\\{mark}")
    # An underscore between letters is no markup in GitHub's Markdown.
    words = (word.replace("_", "\\_") if word.startswith("_") or word.endswith("_") else word for word in text.split())
    return " ".join(words)
