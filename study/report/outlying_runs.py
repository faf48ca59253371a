"""The sentences on outlying runs."""

from study.analysis.analysis import Analysis
from study.analysis.stats.outliers import FAR
from study.utils import formats
from study.utils.formats import PERCENT
from study.utils.text import plural

MOST = 4  # runs listed one by one
CONDITION = (
    "They count in all means and verdicts. Rare collapses widen the intervals of studies that have one, and most "
    "studies of few replicates have none."
)


def sentences(analysis: Analysis) -> str:
    """Plain text; empty if no run is outlying."""
    runs = analysis.outlying
    if runs.empty:
        return ""
    listed = [
        f"{row['cell']}, replicate {row['replicate']} ({formats.percent(row['test_accuracy'])}{PERCENT}; median of the "
        f"cell {formats.percent(row['median'])}{PERCENT})"
        for _, row in runs.head(MOST).iterrows()
    ]
    more = f"; and {len(runs) - MOST} more" if len(runs) > MOST else ""
    count = plural(len(runs), "run")
    far = f"{count} beyond {FAR:g} pooled MADs from the median of the cell, not left out"
    return f"{far}: {'; '.join(listed)}{more}. {CONDITION}"
