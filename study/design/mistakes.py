"""The mistakes of a grid, all at once: one per key, sorted by line, without those that follow from another one."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Set

from study.design.yaml_file import GridError, Keys

MAX_SHOWN = 10
_LIST = re.compile(
    r"((?<=\?) Possible|; possible|(?<=[.?]) Data sets): ((?:[^:]|:\S)*)$"
)  # of valid names, at the end of a message


class Mistakes:
    """Collects errors until `check`, which raises them as one."""

    def __init__(self) -> None:
        self._found: dict[Keys, GridError] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def keys(self) -> Set[Keys]:
        """Where the mistakes are."""
        return self._found.keys()

    @contextlib.contextmanager
    def collect(self) -> Iterator[None]:
        """Record an error that is raised inside, instead of passing it on."""
        try:
            yield
        except GridError as error:
            self.add(error)

    def add(self, error: GridError) -> None:
        """Record an error and its others, unless their keys have one already."""
        for one in error.others or (error,):
            self._found.setdefault(one.keys, one)

    def check(self) -> None:
        """Raises GridError with the first MAX_SHOWN mistakes, one per line, if there are any."""
        found = sorted(self._found.values(), key=lambda error: error.line)
        if not found:
            return
        lines = [*_without_repetition(error.message for error in found[:MAX_SHOWN])]
        if len(found) > MAX_SHOWN:
            lines.append(f"and {len(found) - MAX_SHOWN} more")
        raise GridError("\n".join(lines), found[0].keys, found[0].line, found)


def _without_repetition(messages: Iterable[str]) -> Iterator[str]:
    """The messages, with each list of valid names only once."""
    seen: set[str] = set()
    for message in messages:
        names = _LIST.search(message)
        if names and names[2] in seen:
            yield message[: names.start()]
        else:
            yield message
        seen |= {names[2]} if names else set()
