"""How often studies without any effect have a false verdict after claims or replicates were changed by the results.

Reports cite these shares; `nox -s calibrate` fails if it measures others (`calibrate_after_results`).
"""

ADDED = 0.28  # the clearest of 8 changes becomes a claim
RAISED = {  # replicates are doubled once, twice and three times while the claim is undecided
    "replicates": (0.095, 0.12, 0.15),  # of a fixed number
    "max": (0.075, 0.1, 0.12),
}
SLACK = 0.01  # within which the calibration must find these shares
