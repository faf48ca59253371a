"""The effect of one factor depends on another: d is a difference of differences.

With cells {A: a, B: b} and against {A: a0, B: b0} d is (y[a, b] - y[a0, b]) - (y[a, b0] - y[a0, b0]).
"""

from study.design.claim_kinds import greater, less
from study.design.claim_kinds.claim_kind import Claim, ClaimKind, Corner, Region


def check(claim: Claim) -> None:
    """Raises ValueError unless two factors are compared at two levels each."""
    if len(claim.cells) != 2 or isinstance(claim.against, float):
        raise ValueError("kind interaction requires two factors in 'cells', and levels (not a number) in 'against'")


def region(claim: Claim) -> Region:
    if claim.direction == "greater":
        return greater.region(claim)
    if claim.direction == "less":
        return less.region(claim)
    margin = claim.margin or 0.0
    return Region(-margin, margin, inside=False)


def corners(cells: dict[str, str], against: dict[str, str]) -> tuple[Corner, ...]:
    """The four terms of the difference of differences."""
    one, other = cells
    return (
        Corner(1, cells),
        Corner(-1, {one: against[one], other: cells[other]}),
        Corner(-1, {one: cells[one], other: against[other]}),
        Corner(1, against),
    )


KIND = ClaimKind(
    "interaction",
    "d < -margin or d > margin (d: a difference of differences); with a direction, as for that kind",
    region,
    check=check,
    corners=corners,
    keys=("direction",),
    changes_every_factor=True,
)
