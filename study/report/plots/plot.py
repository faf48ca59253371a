"""What a plot is: numbers first, then a drawing of exactly those numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """`compute` gives the numbers, an empty table where a study has none to show; `draw` draws them and nothing else.

    The numbers are written beside the figure. `title` is also the figure's description for those who cannot see it.
    """

    title: str
    caption: str
    compute: Callable[[Results], pd.DataFrame]
    draw: Callable[[pd.DataFrame], "Figure"]
