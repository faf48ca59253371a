"""The report of a study: collected from the store, computed, and written as an executed notebook and a page.

collect      store -> Results (tables)
build        Results -> a folder of files; `is_current` says whether it need not be done
read         the folder -> Results again, for the notebook and for anyone
answers, table, figure   what the notebook shows
"""

from study.analysis.results import Results, read
from study.report.build import Report, build, is_current
from study.report.collect import collect
from study.report.notebook_api import Shown, answers, figure, table

__all__ = ["Report", "Results", "Shown", "answers", "build", "collect", "figure", "is_current", "read", "table"]
