"""A plot of the report: numbers first, then a drawing of exactly those numbers, and where it is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import StudyFacts
from study.report.coverage import after_stopping
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
    caption   how to read it, or a function that gives it
    intervals whether it shows 95 % intervals that allow for a fixed number of replicates only
    expected  whether a study without such numbers yet shows the heading with a placeholder
    """

    section: Section
    title: str
    caption: str | Callable[[Analysis], str]
    compute: Callable[[Analysis], pd.DataFrame]
    draw: Callable[[pd.DataFrame], "Figure"]
    order: int = 10
    expected: Callable[[StudyFacts], bool] = never
    intervals: bool = False

    def caption_for(self, analysis: Analysis) -> str:
        """How to read the plot of this study."""
        caption = self.caption if isinstance(self.caption, str) else self.caption(analysis)
        return f"{caption} {after_stopping(analysis.facts) if self.intervals else ''}".rstrip()

    def is_shown(self, analysis: Analysis) -> bool:
        """Whether there is anything to draw."""
        return not self.compute(analysis).empty
