"""Optional analyses: one that raises becomes a sentence in the report, and the rest of the report is built."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def reason(error: Exception) -> str:
    """The class of an error and the first line of its message, as in `LinAlgError: Singular matrix`."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def attempt(failures: list[str], what: str, compute: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """The result of an optional computation; if it raises, None, and a sentence is appended to `failures`.

    `what` begins the sentence, as in "The figure 'effects' could not be drawn".
    """
    try:
        return compute(*args, **kwargs)
    except Exception as error:  # the stored trials are valid whatever an analysis of them does
        failures.append(f"{what}: {reason(error)}.")
        return None
