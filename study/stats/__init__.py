"""What replicates can and cannot tell: intervals, effects, verdicts on claims, and how well all of it is calibrated.

Pure functions of numbers and plain DataFrames; nothing here trains, reads or writes a study. Import from the modules:

- `intervals`: a cell's mean, a paired difference, its bootstrap check
- `adjust`: Holm's adjustment of p-values
- `power`: replicates needed, smallest detectable effect
- `effects`: main effects and interactions of a design from a least-squares fit
- `specs`: claims as written in a grid file
- `claims`: verdicts on them
- `sequential`: the same at several looks, adding replicates until claims are decided
- `simulate`, `calibrate`: simulated studies with known truth
"""
