"""The metric differs between `cells` and `against` by less than the margin, in either direction."""

from study.design.claim_kinds.claim_kind import Claim, ClaimKind, Region


def region(claim: Claim) -> Region:
    margin = claim.margin or 0.0
    return Region(-margin, margin)


KIND = ClaimKind("equivalent", "-margin < d < margin", region, needs_margin=True)
