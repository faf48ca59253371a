"""The report of a study: collected from the store, analysed, and written as an executed notebook and a page.

collect      study, store -> Results (tables and facts)
analyse      Results -> Analysis (cells, effects, verdicts; computed on first use)
build        Results -> a folder of files; `is_current` is whether that can be skipped
index        the list of all reports in a folder, index.html
read         the folder -> Results again, for the notebook and for other programs
answers, table, figure   what the notebook displays
"""

from study.analysis.analysis import Analysis, analyse
from study.analysis.results import Results, read
from study.report.build import Report, build, is_current
from study.report.collect import collect
from study.report.notebook_api import Shown, answers, figure, table

__all__ = [
    "Analysis",
    "Report",
    "Results",
    "Shown",
    "analyse",
    "answers",
    "build",
    "collect",
    "figure",
    "is_current",
    "read",
    "table",
]
