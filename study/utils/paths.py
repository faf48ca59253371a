"""Paths as users write them."""

from pathlib import Path

from study.utils.errors import StudyError


def expanded(path: Path | str) -> Path:
    """The path with `~` and `~USER` replaced by the home folder. Raises StudyError if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise StudyError(
            f"{path}: no home folder for {Path(path).parts[0]!r}; give the full path, or ./{path} for a folder of that "
            "name"
        ) from None


def expanded_option(path: Path | None) -> Path | None:
    """`expanded` for an option of the command line that may be left out."""
    return None if path is None else expanded(path)
