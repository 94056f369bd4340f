"""``al why``: why an item is in the queue, or is not."""

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from al_assets.commands.options import JsonOption, PolicyOption, print_json, say
from al_assets.config import load_policy

if TYPE_CHECKING:
    from al_assets.commands.item_story import ItemStory

# An escape sequence in a text of the pool could clear the screen, a change of direction forge what is shown.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
AnyIterationOption = Annotated[str | None, typer.Option(help="Such as 0002; all that queued the item if left out.")]


def why(
    item: Annotated[str, typer.Argument(help="The item's id.")],
    policy: PolicyOption,
    iteration: AnyIterationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why an item was queued, as recorded then; or what is known of it, if it was not. Not for raters' eyes."""
    from al_assets.commands.item_story import item_story

    found = item_story(load_policy(policy), item, iteration)
    if as_json:
        print_json(asdict(found))
        return
    for line in story_lines(found):
        say(line)


def story_lines(story: "ItemStory") -> list[str]:
    """Return a story as lines for the terminal: the text first, then why; nothing in them steers the terminal."""
    lines = [] if story.text is None else [story.text]
    for chapter in story.chapters:
        lines.append(f"\n{story.item_id}, iteration {chapter.iteration}, {chapter.reason or 'not queued'}:")
        lines += [f"  {sentence}" for sentence in chapter.why]
    return [_STEERING.sub(lambda found: found.group().encode("unicode_escape").decode(), line) for line in lines]
