"""What went wrong, said once and clearly: the command line prints the message and exits with 2, without a traceback."""


class StudyError(Exception):
    """A mistake its reader can put right; the message names what, where, what was possible, and the way out."""
