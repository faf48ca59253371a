"""A table of cells that keeps their names on narrow terminals: other columns are left out first."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

MIN_NAME = 18  # columns for the names of cells, in which long ones are wrapped
GAP = 2  # between columns


def cell_table(
    console: Console, names: Sequence[str], rows: Sequence[Sequence[str]], leave_out: Sequence[str]
) -> Table:
    """A table with the names of cells first, as markup, and the columns `names`.

    Columns are left out in the order of `leave_out` until the names have MIN_NAME columns.
    """
    widths = {name: GAP + max(map(_width, [name, *(row[i + 1] for row in rows)])) for i, name in enumerate(names)}
    kept = list(names)
    for name in leave_out:
        if console.width - sum(widths[one] for one in kept) >= MIN_NAME:
            break
        kept.remove(name)
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("cell", overflow="fold", ratio=1)
    for name in kept:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row[0], *(row[1 + names.index(name)] for name in kept))
    return table


def _width(markup: str) -> int:
    return Text.from_markup(markup).cell_len
