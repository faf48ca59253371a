"""The error that users see: the command line prints its message without a traceback and exits with code 2."""


class StudyError(Exception):
    """An error the user can fix. The message gives what is wrong, where, the valid values, and a suggestion."""
