"""Early stopping by asynchronous successive halving, ASHA (Li et al. 2020, arXiv 1810.05934)."""

from dataclasses import dataclass

REDUCTION_FACTOR = 4  # as in the experiments of the paper


@dataclass(frozen=True)
class SuccessiveHalving:
    """At each rung, a trial continues if it is among the best 1/reduction of all trials that have reached that rung.

    The first trial at a rung always continues, so which trials are stopped depends on the order in which they report.
    The field names are part of the keys of tunings.
    """

    grace: int  # epochs before the first rung
    epochs: int  # of a complete trial
    reduction: int = REDUCTION_FACTOR

    @property
    def rungs(self) -> list[int]:
        """The epochs after which trials may stop, all before the last: 1, 4, 16 of 20 epochs with a grace of 1."""
        rungs, epoch = [], self.grace
        while epoch < self.epochs:
            rungs.append(epoch)
            epoch *= self.reduction
        return rungs
