"""Statistics of replicated trials: intervals, effects, verdicts on claims, and the calibration of all of them.

Pure functions of numbers and plain DataFrames; nothing here trains, reads or writes a study. Import from the modules:

- `intervals`: a cell's mean, and a difference paired by replicate; `bootstrap`: a check on the mean
- `adjust`: Holm's adjustment of p-values
- `power`: replicates needed, smallest detectable effect
- `effects`: main effects and interactions of a design, from a least-squares fit (`anova`, `model`)
- `verdict_rule`: verdicts on the claims of a grid, from differences by replicate (`contrasts`)
- `sequential`: verdicts at several interim analyses, with replicates added until claims are decided
- `simulate`, `calibrate`: simulated studies of known truth

Results may be incomplete in any way: failed trials, a single replicate, equal values. What cannot be computed is nan,
with the reason in a note where the table has one.
"""
