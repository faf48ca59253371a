"""The metric is worse in `cells` than in `against` by less than the margin, or better."""

import math

from study.design.claim_kinds.claim_kind import Claim, ClaimKind, Region


def region(claim: Claim) -> Region:
    margin = claim.margin or 0.0
    return Region(-margin, math.inf) if claim.higher_is_better else Region(-math.inf, margin)


KIND = ClaimKind(
    "non_inferior",
    "d > -margin if higher is better, d < margin if lower is better",
    region,
    needs_margin=True,
    keys=("better",),
)
