"""Early stopping of a search's trials by asynchronous successive halving, ASHA (Li et al. 2020, arXiv 1810.05934)."""

from dataclasses import dataclass

REDUCTION = 4  # as in the paper's experiments


@dataclass(frozen=True)
class Halving:
    """Which trials go on: at each rung, those among the best 1 in `reduction` of all that have come as far by then.

    So the first to come goes on in any case, and which trials are stopped depends on the order in which they come.
    """

    grace: int  # epochs that every trial has
    epochs: int  # of a whole trial
    reduction: int = REDUCTION

    @property
    def rungs(self) -> list[int]:
        """The epochs after which trials are judged: 1, 4, 16 of 20 with a grace of 1. Never after the last one."""
        found, epoch = [], self.grace
        while epoch < self.epochs:
            found.append(epoch)
            epoch *= self.reduction
        return found
