"""The names of the forms in which questions go out and votes come back."""

from enum import StrEnum


class Form(StrEnum):
    """A form of files: the project's own sheets, or another tool's."""

    PLAIN = "plain"
    ARGILLA = "argilla"
    PRODIGY = "prodigy"
