"""How evenly the router spreads tokens over the experts of each cell."""

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from study.analysis.results import Results

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
    experts = found.assign(idle=found["load"] < IDLE).groupby(["cell", "replicate", "block"])
    blocks = experts.agg(busiest=("load", "max"), idle=("idle", "sum"))
    # the mean of the loads in a block is 1, so their standard deviation is their coefficient of variation
    blocks = blocks.assign(variation=experts["load"].std(ddof=0))
    trials = blocks.groupby(["cell", "replicate"]).agg(
        variation=("variation", "mean"), worst=("variation", "max"), busiest=("busiest", "max"), idle=("idle", "sum")
    )
    by_cell = trials.groupby("cell")
    by_block = blocks.groupby(["cell", "block"])["variation"].mean().groupby("cell")
    worst_block = by_block.idxmax().map(lambda cell_and_block: int(cell_and_block[1]))
    rows = by_cell.mean().assign(n=by_cell.size(), blocks=by_block.size(), worst_block=worst_block)
    return rows.loc[found["cell"].unique()].reset_index()[COLUMNS]
