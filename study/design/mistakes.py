"""The mistakes of a grid, all at once: one per key, sorted by line, without those that follow from another one."""

import contextlib
from collections.abc import Iterator

from study.design.yaml_file import GridError, Keys

MAX_SHOWN = 10


class Mistakes:
    """Collects errors until `check`, which raises them as one."""

    def __init__(self) -> None:
        self._found: dict[Keys, GridError] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    @contextlib.contextmanager
    def collect(self) -> Iterator[None]:
        """Record an error that is raised inside, instead of passing it on."""
        try:
            yield
        except GridError as error:
            self.add(error)

    def add(self, error: GridError) -> None:
        """Record an error, unless its key has one already."""
        self._found.setdefault(error.keys, error)

    def check(self) -> None:
        """Raises GridError with the first MAX_SHOWN mistakes, one per line, if there are any."""
        found = sorted(self._found.values(), key=lambda error: error.line)
        if not found:
            return
        lines = [error.message for error in found[:MAX_SHOWN]]
        if len(found) > MAX_SHOWN:
            lines.append(f"and {len(found) - MAX_SHOWN} more")
        raise GridError("\n".join(lines), found[0].keys, found[0].line)
