"""The error of the study: a file, a setting or a data set that it cannot use."""


class StudyError(ValueError):
    """What was asked cannot be done; the message names the file or field, the value and the way out."""
