"""A study's report as a web page: its Markdown as HTML, pictures inline, light or dark, no script, no network."""

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from al_assets.pictures import with_own_ids
from al_assets.study.report.canvas import COLOURS, DARK, for_page


def html_page(title: str, text: str, drawings: Mapping[str, str]) -> str:
    """Return a report as one HTML page that needs nothing else; texts are escaped.

    :param text: the report in Markdown.
    :param drawings: its pictures as SVG, by name.
    """
    loader = PackageLoader("al_assets.study.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.get_template("page.html.j2")
    # Matplotlib has escaped the texts of its drawings.
    inline = {name: with_own_ids(for_page(drawing), name) for name, drawing in drawings.items()}
    return template.render(title=title, body=Markup(_body(text, inline)), light=COLOURS, dark=DARK)


def _body(text: str, drawings: Mapping[str, str]) -> str:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(text)
    for at, token in enumerate(tokens):
        if token.type == "inline":
            _put_picture(tokens, at, drawings)
        elif token.type == "table_open" and at and tokens[at - 1].type == "paragraph_close":
            _put_caption(tokens, at)
        elif token.type in ("th_open", "td_open"):
            _name_cell(token, tokens[at + 2])
    return str(parser.renderer.render(tokens, parser.options, {}))


def _put_picture(tokens: list[Token], at: int, drawings: Mapping[str, str]) -> None:
    """Turn a paragraph that is a picture, and the one after it, into a figure with its caption."""
    children = tokens[at].children or []
    if len(children) != 1 or children[0].type != "image":
        return
    drawing = drawings[Path(str(children[0].attrs["src"])).stem]
    start, end = (Token("html_block", "", 0, content=each) for each in (
        f'<figure><div role="img" aria-label="{escape(children[0].content)}">{drawing}</div>', "</figure>\n",
    ))  # fmt: skip
    caption = tokens[at + 2 : at + 5]
    caption[0].tag = caption[2].tag = "figcaption"
    tokens[at - 1 : at + 5] = [start, *caption, end]


def _put_caption(tokens: list[Token], at: int) -> None:
    """Turn the paragraph before a table into its caption."""
    caption = tokens[at - 3 : at]
    caption[0].tag = caption[2].tag = "caption"
    tokens[at - 3 : at + 1] = [tokens[at], *caption]


def _name_cell(start: Token, end: Token) -> None:
    """Mark headings of columns and, in columns that are not figures, of rows."""
    is_figure = "style" in start.attrs
    if start.type == "th_open":
        start.attrs = {"scope": "col", "class": "figure"} if is_figure else {"scope": "col"}
    elif is_figure:
        start.attrs = {}
    else:
        start.tag = end.tag = "th"
        start.attrs = {"scope": "row"}
