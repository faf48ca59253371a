"""The commands that messages suggest: built here only, from the invocation in which the message appears."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from study.utils.redact import masked

OPTIONS = {  # the options of each verb that name a place; all other options of a command are not repeated
    "plan": ("store",),
    "run": ("address", "store", "reports", "tracking_uri"),
    "replicate": ("store",),
    "report": ("store", "reports", "tracking_uri"),
    "export": ("store",),
    "verify": ("store",),
    "status": ("store", "reports"),
    "failures": ("store",),
    "sync": ("store", "tracking_uri"),
    "doctor": ("address", "store", "tracking_uri"),
}


@dataclass(frozen=True)
class Invocation:
    """A study's grid file, and the places that were given with the command or in the environment.

    `GRID` stands for a grid file that is not known.
    """

    grid: str | None = "GRID"
    places: Mapping[str, str] = field(default_factory=dict)  # option, as in OPTIONS, to its value

    def command(self, verb: str, *flags: str) -> str:
        """A command on the same study, store, server and cluster, quoted for a shell. Passwords are masked."""
        return shlex.join(map(masked, self.words(verb, *flags)))

    def words(self, verb: str, *flags: str) -> list[str]:
        """As `command`, in words, and without masks."""
        words = ["python", "-m", "study", verb]
        if self.grid is not None:
            words.append(f"./{self.grid}" if self.grid.startswith("-") else self.grid)
        for option in OPTIONS[verb]:
            if option in self.places:
                words += _option(f"--{option.replace('_', '-')}", self.places[option])
        return [*words, *flags]


UNKNOWN = Invocation()  # where messages are made without a command line


def _option(name: str, value: str) -> list[str]:
    return [f"{name}={value}"] if value.startswith("-") else [name, value]
