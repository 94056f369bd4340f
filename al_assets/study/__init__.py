"""The study: the published experiment in kind on data that anyone can have, hidden labels in the place of experts."""


class StudyError(ValueError):
    """What was asked cannot be done; the message names the file or field, the value and the way out."""
