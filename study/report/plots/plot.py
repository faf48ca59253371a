"""A plot of the report: numbers first, then a drawing of exactly those numbers, and where it is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import StudyFacts
from study.report.placement import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def never(facts: StudyFacts) -> bool:
    """The default of `Plot.expected`."""
    return False


@dataclass(frozen=True)
class Plot:
    """`compute` gives the numbers, without rows if there are none to show; `draw` draws them and nothing else.

    The numbers are written beside the figure as CSV.

    section   where it is shown in the notebook and page
    order     position within the section, lowest first (plots default to 10, tables to 20)
    title     heading above the figure, and its alternative text
    caption   how to read it
    expected  whether a study without such numbers yet shows the heading with a placeholder
    """

    section: Section
    title: str
    caption: str
    compute: Callable[[Analysis], pd.DataFrame]
    draw: Callable[[pd.DataFrame], "Figure"]
    order: int = 10
    expected: Callable[[StudyFacts], bool] = never

    def is_shown(self, analysis: Analysis) -> bool:
        """Whether there is anything to draw."""
        return not self.compute(analysis).empty
