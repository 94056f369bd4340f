import polars as pl
import pytest
from rich.console import Console

from al_assets.commands.options import frame_table, say


def test_texts_in_a_table_are_shown_as_they_are() -> None:
    texts = ["[/b] closed", r"a \[/b] c", ":thumbs_up:", "[red]alert[/red]"]
    console = Console(width=200, record=True, emoji=False)
    console.print(frame_table(pl.DataFrame({"text": texts, "score": [0.12345, None, 1.0, 2.0]}), "Votes"))
    shown = console.export_text()
    assert all(text in shown for text in texts)
    assert "0.123" in shown
    assert "None" not in shown


def test_a_line_is_said_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("[/b] :thumbs_up: [0]")
    assert capsys.readouterr().out == "[/b] :thumbs_up: [0]\n"
