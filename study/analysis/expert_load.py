"""How evenly the router distributes tokens over the experts of each cell."""

import pandas as pd

from study.analysis.results import Results

IDLE = 0.1  # of an even share; an expert with less counts as idle
COLUMNS = ["cell", "n", "blocks", "variation", "worst", "worst_block", "busiest", "idle"]


def expert_load(results: Results) -> pd.DataFrame:
    """Each expert's load in every finished fine-tuning: columns cell, replicate, block, expert, load.

    `load` is the expert's share of the block's tokens, in units of an even share (1: even). Blocks with a single expert
    are left out, since they have no routing.
    """
    load = results.expert_load[results.expert_load["stage"] == "finetune"]
    experts = load.groupby(["key", "block"])["expert"].transform("size")
    load = load.assign(load=load["share"] * experts)[experts > 1]
    trials = results.done[["cell", "replicate", "key"]]
    return trials.merge(load, on="key")[["cell", "replicate", "block", "expert", "load"]]


def by_cell(loads: pd.DataFrame) -> pd.DataFrame:
    """From `expert_load`: one row per cell with routing, in the study's order; all but `n` and `blocks` are means.

    n, blocks          replicates, and blocks with more than one expert
    variation, worst   coefficient of variation of the loads in a block: mean over blocks, and the largest block's
    worst_block        the block whose mean variation is largest
    busiest            the largest load of any expert, in even shares
    idle               number of idle experts
    """
    experts = loads.assign(idle=loads["load"] < IDLE).groupby(["cell", "replicate", "block"])
    blocks = experts.agg(busiest=("load", "max"), idle=("idle", "sum"))
    # the mean of the loads in a block is 1, so their standard deviation is their coefficient of variation
    blocks = blocks.assign(variation=experts["load"].std(ddof=0))
    trials = blocks.groupby(["cell", "replicate"]).agg(
        variation=("variation", "mean"), worst=("variation", "max"), busiest=("busiest", "max"), idle=("idle", "sum")
    )
    cells = trials.groupby("cell")
    by_block = blocks.groupby(["cell", "block"])["variation"].mean().groupby("cell")
    worst_block = by_block.idxmax().map(lambda cell_and_block: int(cell_and_block[1]))
    rows = cells.mean().assign(n=cells.size(), blocks=by_block.size(), worst_block=worst_block)
    return rows.loc[loads["cell"].unique()].reset_index()[COLUMNS]
