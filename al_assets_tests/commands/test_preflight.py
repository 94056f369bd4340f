from pathlib import Path
from typing import Any

import pytest

from al_assets.commands.preflight import preflight
from al_assets_tests.support.small_loop import MakeLoop

LEXICON = {"kind": "functions", "functions": ["al_assets.demo.lexicon:strongly_negative"]}
WORDS = {"kind": "keywords", "positive": ["hate"]}
MISSING = {"kind": "functions", "functions": ["no_such_module:f"]}


@pytest.mark.parametrize(
    ("labeler", "ok", "detail"),
    [
        (WORDS, True, "keywords answers (p_positive 0.150)"),
        ({"kind": "combination", "labelers": [LEXICON, WORDS]}, True, "combination answers (p_positive"),
        (
            {"kind": "combination", "labelers": [LEXICON, WORDS], "method": "label_model"},
            True,
            "combination answers (2 members of a label model)",
        ),
        (
            {"kind": "combination", "labelers": [LEXICON, MISSING], "method": "label_model"},
            False,
            "'no_such_module:f' cannot be imported",
        ),
    ],
)
def test_every_member_of_a_combination_is_tried(
    labeler: dict[str, Any], ok: bool, detail: str, make_loop: MakeLoop
) -> None:
    file: Path = make_loop(labeler=labeler).policy_file
    (found,) = (each for each in preflight(file) if each.check == "labeler")
    assert found.ok == ok
    assert detail in found.detail
