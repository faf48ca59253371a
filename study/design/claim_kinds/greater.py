"""The metric is greater in `cells` than in `against`, by more than the margin."""

import math

from study.design.claim_kinds.claim_kind import Claim, ClaimKind, Region


def region(claim: Claim) -> Region:
    return Region(claim.margin or 0.0, math.inf)


KIND = ClaimKind("greater", "d > margin", region)
