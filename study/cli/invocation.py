"""The invocation of a verb, which all commands that it suggests repeat."""

import os
from typing import Any

import typer
from typer.core import TyperCommand

from study.utils.command_line import OPTIONS, Invocation
from study.utils.errors import StudyError

ENVIRONMENT = {"store": "STUDY_STORE", "tracking_uri": "MLFLOW_TRACKING_URI"}  # the variable of each option


class Verb(TyperCommand):
    """A command whose errors suggest commands with its own grid and options."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except StudyError as error:
            error.invocation = invocation(ctx)
            raise


def invocation(context: typer.Context) -> Invocation:
    """The grid and the places that were given on the command line or in the environment, not the defaults.

    Those from the environment are included because another shell may lack them.
    """
    names = dict.fromkeys(name for options in OPTIONS.values() for name in options)
    given = {
        name: str(context.params[name])
        for name in names
        if context.params.get(name) is not None and _is_given(context, name)
    }
    for name, variable in ENVIRONMENT.items():  # which the suggested verb reads, even if this one does not
        if name not in context.params and os.environ.get(variable):
            given[name] = os.environ[variable]
    grid = context.params.get("grid")
    return Invocation(str(grid) if grid is not None else "GRID", given)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")
