"""The metric is less in `cells` than in `against`, by more than the margin."""

import math

from study.design.claim_kinds.claim_kind import Claim, ClaimKind, Region


def region(claim: Claim) -> Region:
    return Region(-math.inf, -(claim.margin or 0.0))


KIND = ClaimKind("less", "d < -margin", region)
