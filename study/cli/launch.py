"""`study launch KIND GRID`: one command per kind of cluster. Its options are the fields of that kind's launcher."""

import inspect
import shlex
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from typer.core import TyperGroup

from study.launch.catalogue import KINDS, find
from study.launch.cluster import Cluster
from study.utils.escape import terminal as escape
from study.utils.paths import expanded_option

ALL_KINDS = "Options of all kinds"
GRID = Annotated[
    Path, typer.Argument(metavar="GRID", callback=expanded_option, help="Grid file, such as grids/quickstart.yaml.")
]
OUTPUT = Annotated[
    Path | None,
    typer.Option(
        "--output",
        callback=expanded_option,
        help="folder for the files",
        show_default="launch/STUDY-KIND",
        rich_help_panel=ALL_KINDS,
    ),
]
FORCE = Annotated[
    bool,
    typer.Option("--force", help="overwrite these files if their content differs", rich_help_panel=ALL_KINDS),
]


class Kinds(TyperGroup):
    """Builds the command of a kind when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(KINDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return command(cmd_name) if cmd_name in KINDS else None


launch = typer.Typer(
    cls=Kinds,
    no_args_is_help=True,
    subcommand_metavar="KIND ...",
    add_completion=False,
    help="Write files that run a study on a Ray cluster. Starts nothing.",
)


def command(kind: str) -> Any:
    """The command of a kind of cluster."""
    cluster = find(kind)

    def run(grid: Path, output: Path | None, force: bool, **options: Any) -> None:
        from study.launch import write

        given = {name: value for name, value in options.items() if value is not None}
        written = write(kind, grid, given, output, force=force)
        console = Console(soft_wrap=True)
        console.print(f"{escape(str(written.folder))}: {escape(', '.join(written.files))}", highlight=False)
        for warning in written.warnings:
            console.print(f"[yellow]{escape(warning)}[/]", highlight=False)
        console.print(
            f"next: {escape(str(written.folder / 'README.md'))}, or in {escape(str(written.root))}\n"
            f"{escape(written.steps.start)}",
            highlight=False,
        )

    parameters = list(_parameters(cluster))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads both
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    app.command(name=kind, help=inspect.getdoc(cluster), epilog=f"Example: {example(kind)}")(run)
    return typer.main.get_command(app)


def example(kind: str) -> str:
    """The command line of a kind's example."""
    words = ["study", "launch", kind, "grids/quickstart.yaml"]
    for name, value in find(kind).example.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            words += [_flag(name)] if item is True else [_flag(name), str(item)]
    return shlex.join(words)


def _parameters(cluster: type[Cluster]) -> Iterator[inspect.Parameter]:
    def parameter(name: str, annotation: Any, **default: Any) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, **default)

    yield parameter("grid", GRID)
    for name, field in cluster.model_fields.items():
        panel = ALL_KINDS if name in Cluster.model_fields else f"Options of {cluster.title}"
        yield parameter(name, Annotated[_plain(field.annotation) | None, _option(name, field, panel)], default=None)
    yield parameter("output", OUTPUT, default=None)
    yield parameter("force", FORCE, default=False)


def _option(name: str, field: FieldInfo, panel: str) -> Any:
    """Neither required nor with a default for typer: the launcher checks that, with better error messages."""
    note = " (required)" if field.is_required() else f" (default: {field.default})" if field.default else ""
    return typer.Option(_flag(name), help=f"{field.description}{note}", show_default=False, rich_help_panel=panel)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _plain(annotation: Any) -> Any:
    """int, float, bool or str, or a list of one; the launcher validates the value."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin in (Union, types.UnionType):
        return _plain(next(part for part in arguments if part is not type(None)))
    if origin is tuple:
        return list[_plain(arguments[0])]  # type: ignore[misc]  # built at run time
    return annotation if annotation in (int, bool, float) else str
