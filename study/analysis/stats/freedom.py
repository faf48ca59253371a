"""The standard deviation and the degrees of freedom that a test will have with other numbers of replicates."""

import math
from dataclasses import dataclass

from study.analysis.stats.contrasts import Cell, Contrast
from study.analysis.stats.error_choice import LEAST_REPLICATES, ErrorChoice
from study.analysis.stats.items import Crossed
from study.analysis.stats.pooled_error import LEAST_CELLS, guarded_df
from study.analysis.stats.share_estimate import ShareEstimate
from study.utils.text import plural

SdAndDf = tuple[float, float]


@dataclass(frozen=True)
class Freedom:
    """Of the paired test, or with the error of a number of cells pooled once there are enough replicates, or with an
    error over replicates and images."""

    cells: int = 0  # that are pooled
    crossed: Crossed | None = None  # mean squares so far, of a claim that is tested over replicates and images

    def __call__(self, replicates: int) -> float:
        if self.crossed is not None:
            return self.crossed.at(replicates, self.crossed.images).df
        if replicates >= LEAST_REPLICATES and self.cells >= LEAST_CELLS:
            return guarded_df(replicates, self.cells)
        return replicates - 1

    def tests(self, sd: float, replicates: int, images: int | None = None) -> list[SdAndDf]:
        """The tests that must all decide, each with the standard deviation of a difference over replicates.

        `sd` is that which gives the replicates so far their error. Images are in every replicate the same, so their
        part of the error does not shrink with the number of replicates. `images`: another number of them.
        """
        so_far = self.crossed
        if so_far is None:
            return [(sd, self(replicates))]
        then = so_far.at(replicates, images or so_far.images)
        unit = sd / (so_far.error * math.sqrt(so_far.replicates))  # sd is one end of an interval
        over_replicates = (unit * math.sqrt(then.a / then.images), replicates - 1.0)
        return [(unit * then.error * math.sqrt(replicates), then.df), *([over_replicates] if then.a > 0 else [])]

    def standard_errors(self, sds: tuple[float, float, float], replicates: int) -> tuple[float, float, float]:
        """Of the first test, for each standard deviation."""
        low, middle, high = (self.tests(sd, replicates)[0][0] / math.sqrt(replicates) for sd in sds)
        return low, middle, high

    @property
    def test(self) -> str:
        """The name of the test, for sentences."""
        if self.crossed is not None:
            return f"error over replicates and {plural(self.crossed.images, 'test image')}"
        return "pooled error" if self.cells else "paired test"


PAIRED = Freedom()


def freedom_of(choice: ErrorChoice[Cell], contrast: Contrast[Cell]) -> Freedom:
    """That of the error that is chosen for a difference."""
    found = contrast.estimate()
    if isinstance(found, ShareEstimate) and found.n > 1:
        return Freedom(crossed=found.crossed)
    return Freedom(choice.cells) if choice.is_pooled(contrast) else PAIRED
