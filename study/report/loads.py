"""How evenly the router spreads tokens over the experts of each cell."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from study.report.results import Results

IDLE = 0.1  # of an even share, below which an expert counts as idle
COLUMNS = ["cell", "n", "blocks", "variation", "worst", "worst_block", "busiest", "idle"]


def relative_loads(results: "Results") -> pd.DataFrame:
    """Each expert's load in every finished fine-tuning: columns cell, replicate, block, expert, load.

    `load` is the expert's share of the block's tokens in units of an even share (1: even). Blocks with a single expert
    are left out, for there is nothing to route.
    """
    load = results.expert_load[results.expert_load["stage"] == "finetune"]
    experts = load.groupby(["key", "block"])["expert"].transform("size")
    load = load.assign(load=load["share"] * experts)[experts > 1]
    trials = results.done[["cell", "replicate", "key"]]
    return trials.merge(load, on="key")[["cell", "replicate", "block", "expert", "load"]]


def loads(results: "Results") -> pd.DataFrame:
    """One row per cell that routes, in the study's order; all but `n` and `blocks` are means over replicates.

    variation, worst   coefficient of variation of the loads in a block: mean over blocks, and the largest block's
    worst_block        the block whose mean variation is largest
    busiest            the largest load of any expert, in even shares
    idle               number of experts with less than a tenth of an even share
    """
    found = relative_loads(results)
    rows = [_row(str(cell), found[found["cell"] == cell]) for cell in found["cell"].unique()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(cell: str, load: pd.DataFrame) -> dict[str, object]:
    # the mean of the loads in a block is 1, so their standard deviation is their coefficient of variation
    variation = load.groupby(["replicate", "block"])["load"].std(ddof=0).unstack("block")
    by_replicate = load.groupby("replicate")["load"]
    return {
        "cell": cell,
        "n": len(variation),
        "blocks": variation.shape[1],
        "variation": float(variation.mean(axis=1).mean()),
        "worst": float(variation.max(axis=1).mean()),
        "worst_block": int(variation.columns[int(variation.mean().to_numpy().argmax())]),
        "busiest": float(by_replicate.max().mean()),
        "idle": float(by_replicate.apply(lambda values: (values < IDLE).sum()).mean()),
    }
