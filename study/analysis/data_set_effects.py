"""The effects of the other factors on each data set, for studies with several."""

import pandas as pd

from study.analysis import effects, factorial
from study.analysis.data_sets import DataSets, within
from study.analysis.results import Results
from study.analysis.stats.adjust import holm
from study.analysis.stats.families import Adjustment


def by_data_set(results: Results, found: DataSets) -> pd.DataFrame:
    """The table of effects of each data set's own cells, with the column `data_set` first.

    Only levels that are compared on at least two data sets. Each data set has an error of its own, as its cells may
    spread otherwise. `p_adjusted` is Holm's, over all rows.
    """
    tables = [_effects(within(results, found, one)).assign(data_set=one.name) for one in found.sets]
    levels = pd.concat(tables, ignore_index=True).groupby(["factor", "level"], sort=False)
    several = [rows for _, rows in levels if len(rows) > 1]
    table = pd.concat(several, ignore_index=True) if several else tables[0].iloc[:0]
    columns = ["data_set", *(name for name in table.columns if name != "data_set")]
    adjusted = holm(table["p_value"].to_numpy(dtype=float))
    named = table["p_value"].notna().map({True: Adjustment.HOLM.value, False: ""})
    return table[columns].assign(p_adjusted=adjusted, adjustment=named)


def _effects(own: Results) -> pd.DataFrame:
    return effects.matched(own) if effects.is_matched(own.facts) else effects.fitted(own, factorial.fit(own))
