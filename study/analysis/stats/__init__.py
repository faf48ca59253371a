"""What replicates can and cannot tell: intervals, effects, verdicts on claims, and how well all of it is calibrated.

Pure functions of numbers and plain DataFrames; nothing here trains, reads or writes a study. Import from the modules:

- `intervals`: a cell's mean, and a difference paired by replicate; `bootstrap`: a check on both
- `adjust`: Holm's adjustment of p-values
- `power`: replicates needed, smallest detectable effect
- `effects`: main effects and interactions of a design, from a least-squares fit (`anova`, `model`)
- `claims`: verdicts on the claims of a grid, from differences by replicate (`contrasts`)
- `sequential`: the same at several looks, adding replicates until claims are decided
- `simulate`, `calibrate`: simulated studies with known truth
"""
