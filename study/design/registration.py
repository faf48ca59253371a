"""When claims were registered: the history of a study's claims and replicates, and the sentences that follow from it.

`run` records an entry before its first stage if the claims or replicates differ from the last entry. A claim counts as
written when `run` first reads it. Results are those of the trials that the grid requests, in the store of the study.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from study.design.claims import ClaimSpec
from study.design.comparison import Factors, select
from study.design.failures import DEFAULT, FailureRule
from study.utils.text import minute, plural

How = Literal["before", "anew", "after", "changed", "again", "found", "edited", "open", "unknown"]


class RegisteredClaim(BaseModel):
    """A claim in an entry: its sentence, and all that its verdict depends on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    claim: str
    judged: dict[str, Any]


class Entry(BaseModel):
    """The claims and replicates of a study from one time on; fields that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: str  # ISO 8601, UTC
    results: int  # of the study's trials that were stored at that time
    minimum: int  # replicates
    maximum: int
    claims: tuple[RegisteredClaim, ...]

    def has_content_of(self, other: "Entry") -> bool:
        """Whether both have the same claims and replicates."""
        return (self.claims, self.minimum, self.maximum) == (other.claims, other.minimum, other.maximum)

    def has(self, claim: RegisteredClaim) -> bool:
        """Whether it has a claim that is judged alike."""
        return any(one.judged == claim.judged for one in self.claims)


@dataclass(frozen=True)
class Standing:
    """When a claim was registered.

    before   before any result was stored
    anew     the same, but earlier entries lack it, and the study may have had other settings or data then
    after    when results were stored, and earlier entries lack it
    changed  the same, and earlier entries have another form of it
    again    the same, and earlier entries have it in this form only: it was removed in between
    found    in the first entry, when results were already stored: when it was written is not known
    edited   not registered: the last entry lacks it
    open     not registered: the study has no results
    unknown  not registered: the study has results but no entries
    """

    how: How
    time: str = ""
    results: int | None = None  # stored at that time


def registered(claim: ClaimSpec, factors: Factors, failures: FailureRule = DEFAULT) -> RegisteredClaim:
    """A claim as it is judged, with the levels of both sides written out."""
    found = select(claim, factors)
    corners = [corner.levels for corner in found.corners]
    judged = {
        "kind": claim.kind,
        "metric": claim.metric,
        "cells": corners[0],
        "against": corners[-1] if len(corners) > 1 else found.constant,
        "where": {name: sorted(found.where[name]) for name in sorted(claim.where)},
        "margin": claim.margin or 0.0,
        "direction": claim.direction,
        "better": "higher" if claim.higher_is_better else "lower",
    }
    if claim.by_replicate and failures != DEFAULT:
        judged["failures"] = failures
    return RegisteredClaim(claim=claim.claim, judged=judged)


def standings(present: Entry, history: Sequence[Entry]) -> list[Standing]:
    """When each claim of the grid was registered. `present`: the grid, and the number of results stored now."""
    return [_standing(claim, present, history) for claim in present.claims]


def _standing(claim: RegisteredClaim, present: Entry, history: Sequence[Entry]) -> Standing:
    if not history:
        return Standing("unknown" if present.results else "open")
    unbroken = list(itertools.takewhile(lambda entry: entry.has(claim), reversed(history)))
    if not unbroken:
        return Standing("edited", results=present.results) if present.results else Standing("open")
    entry, earlier = unbroken[-1], history[: len(history) - len(unbroken)]
    how: How = "after" if earlier else "found"
    if entry.results == 0:
        how = "anew" if earlier else "before"
    elif forms := [one.judged for other in earlier for one in other.claims if one.claim == claim.claim]:
        how = "again" if all(judged == claim.judged for judged in forms) else "changed"
    return Standing(how, entry.time, entry.results)


def sentence(present: Entry, history: Sequence[Entry]) -> str:
    """When the claims were written and how the replicates changed, as one sentence without a full stop; empty without
    claims."""
    found = standings(present, history)
    groups: dict[Standing, list[int]] = {}
    for number, standing in enumerate(found, start=1):
        groups.setdefault(standing, []).append(number)
    parts = [_written(standing, numbers, len(found)) for standing, numbers in groups.items()]
    return "; ".join([*parts, *_removed(present, history), *_replicates(present, history)] if parts else [])


def _written(standing: Standing, numbers: list[int], total: int) -> str:
    """As in: claims 1 and 3 were written before any result was stored."""
    if standing.how == "unknown":
        return "the time of the claims is not recorded"
    count = plural(standing.results or 0, "result")
    several = len(numbers) > 1
    was, it, written = ("were", "they", "were written") if several else ("was", "it", "was written")
    text = {
        "before": f"{written} before any result was stored",
        "anew": f"{written} before any result with the settings and data of that time was stored",
        "after": f"{written} after {count}",
        "changed": f"changed after {count}",
        "again": f"{was} removed, and added again after {count}",
        "found": f"{was} first recorded after {count}; when {it} {written} is not known",
        "edited": f"{'are' if several else 'is'} not registered: {it} {written} after {count}",
        "open": f"{'are' if several else 'is'} not registered yet: run registers {'them' if several else 'it'}",
    }[standing.how]
    time = f" (registered {minute(standing.time)} UTC)" if standing.time else ""
    return f"{_which(numbers, total)} {text}{time}"


def _which(numbers: list[int], total: int) -> str:
    if len(numbers) == total:
        few = {1: "the claim", 2: "both claims"}
        return few.get(total) or f"all {total} claims"  # never one
    *others, last = map(str, numbers)
    return f"claims {', '.join(others)} and {last}" if others else f"claim {last}"


def _removed(present: Entry, history: Sequence[Entry]) -> Iterator[str]:
    """The claims that were removed after results, as in: 2 claims removed after 8 results."""
    kept = {claim.claim for claim in present.claims}
    gone: dict[str, tuple[int, bool]] = {}  # sentence -> results at its removal, and whether `run` has recorded it
    for old, new in itertools.pairwise([*history, present]):
        for claim in old.claims:
            if claim.claim not in kept and not present.has(claim) and not new.has(claim):
                gone[claim.claim] = (new.results, new is not present)
    for (results, recorded), claims in itertools.groupby(
        sorted(gone, key=lambda name: gone[name]), key=gone.__getitem__
    ):
        if results:
            unregistered = "" if recorded else ", not registered"
            yield f"{plural(len(list(claims)), 'claim')} removed after {plural(results, 'result')}{unregistered}"


def _replicates(present: Entry, history: Sequence[Entry]) -> Iterator[str]:
    """The changes of replicates after results, as in: max raised from 6 to 12 after 18 results."""
    for old, new in itertools.pairwise([*history, present]):
        fixed = old.minimum == old.maximum and new.minimum == new.maximum
        for name, before, after in (("min", old.minimum, new.minimum), ("max", old.maximum, new.maximum)):
            if before == after or new.results == 0 or (fixed and name == "max"):
                continue
            verb = "raised" if after > before else "lowered"
            unregistered = ", not registered" if new is present else ""
            count = plural(new.results, "result")
            yield f"{'replicates' if fixed else name} {verb} from {before} to {after} after {count}{unregistered}"
