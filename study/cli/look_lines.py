"""The looks of adaptive replicates in `plan`: what each one needs, which are decorative, and a useful schedule."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from study.design.metrics import unit_of
from study.planning.claim_power import ClaimPower, largest_difference, looks
from study.planning.plan import Plan
from study.utils.text import plural

if TYPE_CHECKING:
    from study.analysis.stats.look_power import LookPower


def lines(plan: Plan) -> Iterator[str]:
    """What each look needs, in general and for the claims whose SD is known; empty for a fixed number of replicates."""
    found = looks(plan.study)
    if not found:
        return
    count = len(plan.study.grid.tested_claims)
    first = f" for the first decision among {plural(count, 'claim')}" if count > 1 else ""
    needs = ", ".join(map(_needed, found))
    yield f"{needs}{first}; |t| is the distance of the estimate from the margin in standard errors"
    for number, power in enumerate(plan.claims, start=1):
        if power.spread and not power.decided:
            distances = ", ".join(_distance(plan, power, look) for look in found)
            assert power.freedom is not None
            test = f"{power.freedom.test}, 80% interval of the SD"
            near = " near the present estimate" if power.freedom.crossed else ""  # the error depends on the accuracy
            yield f"claim {number}: distance from the margin that decides it{near} ({test}): {distances}"


def _needed(look: "LookPower") -> str:
    pooled = f" (with a pooled error at most {look.t_pooled:.3g})" if look.t_pooled < look.t else ""
    return f"the look at {look.replicates} needs |t| > {look.t:.3g}{pooled}"


def _distance(plan: Plan, power: ClaimPower, look: "LookPower") -> str:
    """As in: 1.20 to 3.40 points at 3."""
    spread, freedom = power.spread, power.freedom
    assert spread is not None
    assert freedom is not None
    unit, largest = unit_of(power.claim.metric), largest_difference(plan.study, power.claim)
    low, high = (look.distance(sd, freedom) for sd in (spread.low, spread.high))
    if low >= largest:
        return f"none at {look.replicates}"
    most = f" to {unit.signed(high).lstrip('+')} {unit.name}" if high < largest else f" {unit.name} or more"
    return f"{unit.signed(low).lstrip('+')}{most} at {look.replicates}"


def warnings(plan: Plan) -> Iterator[str]:
    """The looks that practically never decide a claim, and replicates without such a look."""
    found = looks(plan.study)
    idle = [str(look.replicates) for look in found if look.is_decorative]
    if not idle:
        return
    which = f"the look at {idle[0]} is" if len(idle) == 1 else f"the looks at {' and '.join(idle)} are"
    use = "a new study can have" if any(cell.done for cell in plan.cells) else "write"
    yield (
        f"{which} decorative: less than 2% power for a true difference that the look at {found[-1].replicates} detects "
        f"with 80% power; {use} 'replicates: {_suggested(plan)}'"
    )


def as_json(plan: Plan) -> dict[str, Any]:
    """The looks for programs, and replicates without a decorative look; None for a fixed number of replicates."""
    found = looks(plan.study)
    rows = [
        {
            "replicates": look.replicates,
            "t": look.t,
            "t_pooled": look.t_pooled,
            "power": look.power,
            "decorative": look.is_decorative,
        }
        for look in found
    ]
    decorative = any(look.is_decorative for look in found)
    return {"looks": rows or None, "suggested_replicates": _suggested(plan) if decorative else None}


def _suggested(plan: Plan) -> str:
    """As in `{min: 4, max: 10, until: claims}`, or `10`."""
    from study.analysis.stats.look_power import useful_schedule

    rule = plan.study.grid.adaptive
    assert rule is not None
    least, most = useful_schedule(rule.min, rule.max, len(plan.study.grid.tested_claims), len(plan.study.included))
    return f"{most}" if least == most else f"{{min: {least}, max: {most}, until: claims}}"
