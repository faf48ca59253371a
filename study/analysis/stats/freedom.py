"""The degrees of freedom that a test will have with other numbers of replicates."""

from dataclasses import dataclass

from study.analysis.stats.contrasts import Cell, Contrast
from study.analysis.stats.error_choice import LEAST_REPLICATES, ErrorChoice
from study.analysis.stats.pooled_error import LEAST_CELLS, guarded_df


@dataclass(frozen=True)
class Freedom:
    """Of the paired test, or with the error of a number of cells pooled once there are enough replicates."""

    cells: int = 0  # 0: paired

    def __call__(self, replicates: int) -> int:
        if replicates >= LEAST_REPLICATES and self.cells >= LEAST_CELLS:
            return guarded_df(replicates, self.cells)
        return replicates - 1

    @property
    def test(self) -> str:
        """The name of the test, for sentences."""
        return "pooled error" if self.cells else "paired test"


PAIRED = Freedom()


def freedom_of(choice: ErrorChoice[Cell], contrast: Contrast[Cell]) -> Freedom:
    """That of the error that is chosen for a difference."""
    return Freedom(choice.cells) if choice.is_pooled(contrast) else PAIRED
