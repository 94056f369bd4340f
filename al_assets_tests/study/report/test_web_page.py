import re
from html.parser import HTMLParser
from pathlib import Path

from al_assets_tests.support.studies import MARKUP


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.ids += [str(found["id"])] if "id" in found else []
        self.links += [str(found[name]) for name in ("href", "xlink:href", "src") if name in found]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_escapes_everything(folder: Path) -> None:
    page = Page()
    page.feed((folder / "report.html").read_text())
    assert page.tags.count("svg") == 9
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert MARKUP in page.text
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert "al study run small.yaml" in page.text


def test_the_page_has_tables_and_pictures_that_can_be_read_aloud(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert re.search(r"<caption>What kappa is held against. Positive items: 10 %.</caption>\s*<thead>", page)
    assert '<th scope="col">strategy</th>' in page
    assert '<th scope="col" class="figure">100</th>' in page
    assert '<th scope="row">boundary_pairs</th>' in page
    assert len(re.findall(r'<figure><div role="img" aria-label="[^"]+">\s*<svg', page)) == 9
    assert page.count("</figcaption>\n</figure>") == 9
    assert page.count('<div class="scroll"><table>') == page.count("</table></div>") >= 10
