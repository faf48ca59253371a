"""The verb `replicate`: writes the grid of a study that tests the claims of another one again, with new seeds."""

import tempfile
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.markup import escape

from study.design.grid import Name
from study.design.replication import check_replicable, default_name, tuning_of, write_replication
from study.design.study import Study, load
from study.planning.replicated import default_replicates
from study.planning.state import StudyState
from study.utils.command_line import Invocation
from study.utils.errors import StudyError
from study.utils.text import plural

LEAST = 2  # replicates: an interval needs two
MOST = 1_000_000


def replicate(
    state: StudyState,
    replicates: int | None,
    name: str | None,
    out: Path | None,
    invocation: Invocation,
    console: Console,
) -> None:
    """Write the grid and show what to do next. Raises StudyError, before anything is written, for invalid input."""
    study = state.study
    check_replicable(study)
    number = _replicates(state, replicates)
    name = _name(study, name)
    path = out or study.path.parent / f"{name}.yaml"
    if path.exists():
        raise StudyError(f"{path} exists; remove it, or give another file with --out or another name with --name")
    text = write_replication(study, name, number, modeline=path.parent.resolve() == study.path.parent.resolve())
    _check(study, text, name)
    _write(path, text)
    own = replace(invocation, grid=str(path))
    console.print(
        f"{escape(str(path))}: {escape(name)} tests {plural(len(study.grid.tested_claims), 'claim')} of "
        f"{escape(study.name)} again, with {plural(number, 'replicate')} and new seeds",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"to check it: {escape(own.command('plan'))}", highlight=False, soft_wrap=True)
    console.print(f"to run it: {escape(own.command('run'))}", highlight=False, soft_wrap=True)


def _replicates(state: StudyState, given: int | None) -> int:
    """Raises StudyError for a number that allows no interval, and for none if the study adds replicates."""
    if given is not None and not LEAST <= given <= MOST:
        raise StudyError(f"invalid value --replicates {given}: must be {LEAST} (an interval needs 2) to {MOST:,}")
    if given is None and state.study.grid.adaptive:
        at = state.study.source.error(("replicates",), "are adaptive; give the fixed number of the new study")
        raise StudyError(f"{at} with --replicates")
    return default_replicates(state) if given is None else given


def _name(study: Study, given: str | None) -> str:
    """Raises StudyError for an invalid name, and for that of the original."""
    name = default_name(study) if given is None else given
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        rule = "up to 64 letters, digits, '.', '_' and '-', the first a letter or digit"
        raise StudyError(f"invalid name {name!r} of the new study: must be {rule}; give it with --name") from None
    if name == study.name:
        raise StudyError(f"invalid value --name {name}: is the name of the original; give another one")
    return name


def _check(study: Study, text: str, name: str) -> None:
    """Raises StudyError if the text is not a grid with the cells and claims of the study."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "grid.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            made = load(file)
        except StudyError as error:
            raise StudyError(str(error).replace(str(file), f"grid of {name}")) from None
    own = {"study": name, "seed": made.grid.seed, "replicates": made.grid.replicates}
    own |= {"replication": made.grid.replication, "tune": tuning_of(study.grid, made.grid.replicates)}
    expected = study.grid.model_copy(update=own)
    if made.grid != expected or made.cells != study.cells:
        raise StudyError(
            f"{study.path}: cannot be rewritten; copy it, and change 'study', 'seed', 'replicates' and 'replication'"
        )


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StudyError(f"cannot write {path}: {error.strerror}; give another file with --out") from None
