"""The error that users see: the command line prints its message without a traceback and exits with code 2."""

from dataclasses import dataclass

from study.utils.command_line import UNKNOWN, Invocation


@dataclass(frozen=True)
class Advice:
    """A command that helps, for the study at hand. `purpose` introduces it, as in `to recompute it`."""

    purpose: str
    verb: str
    flags: tuple[str, ...] = ()

    def text(self, invocation: Invocation) -> str:
        return f"{self.purpose}: {invocation.command(self.verb, *self.flags)}"


class StudyError(Exception):
    """An error the user can fix. The message gives what is wrong, where, the valid values, and a suggestion.

    `advice` is added to the message. Where the error is raised, the invocation is unknown; the command line sets it.
    """

    def __init__(self, message: str, advice: Advice | None = None) -> None:
        super().__init__(message)
        self.message, self.advice, self.invocation = message, advice, UNKNOWN

    def __str__(self) -> str:
        return f"{self.message}; {self.advice.text(self.invocation)}" if self.advice else self.message


class RayLostError(StudyError):
    """Ray has died during a sweep."""

    EXIT_CODE = 3  # of the process, instead of 2

    def __init__(self, part: str) -> None:
        """part: what was lost, as in `GCS at HOST:PORT`."""
        super().__init__(
            f"Ray has died ({part} no longer answers); finished stages are stored and running stages have checkpoints: "
            "run the same command again to resume"
        )
