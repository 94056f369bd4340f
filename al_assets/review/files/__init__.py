"""Files of votes and questions: the project's own sheets, or what another labelling tool reads and writes."""

from enum import StrEnum


class Format(StrEnum):
    """Whose form a file has: the project's own sheet, or another tool's."""

    PLAIN = "plain"
    ARGILLA = "argilla"
    PRODIGY = "prodigy"
