"""JSON from files that may be damaged."""

import json
from typing import Any

DEEPEST = 100  # levels of lists and mappings; no file of the store has more than ten


def parse(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError if it is invalid, or has more than `DEEPEST` levels: functions that
    call themselves at every level would raise RecursionError."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [part for container in level for part in _parts(container)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _parts(value: Any) -> list[Any]:
    """The lists and mappings directly inside."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in inside if isinstance(part, list | dict)]
