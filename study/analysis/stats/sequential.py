"""Replicates added only where claims are undecided, with the error rate kept: `replicates: {min, max, until: claims}`.

Results are looked at a few times: after `min` replicates, then about each time their number has doubled, last after
`max`. Every look may end a claim, so every look gets a share of alpha: with t = n / max it is t^2 minus the last look's
t^2, which makes 1 in all. This is alpha spending (Lan & DeMets 1983, Biometrika 70:659-663) with the power family's
function alpha t^rho at rho = 2 (Kim & DeMets 1987, Biometrika 74:149-154). The usual boundaries are computed for normal
data with known spread; used with t-tests from 3 replicates on they erred in 5.6 % of simulated studies instead of 5.
So a look's share is simply its level (Bonferroni over looks): exact for t-tests of any n, and, looks being far apart,
with about 3 points less power at most than exact boundaries would have.

Several claims: at each look the undecided ones are Holm-adjusted among themselves (Maurer & Bretz 2013, Stat. Biopharm.
Res. 5:311-320): a decided claim passes its alpha on. A claim, once decided, keeps its verdict and its numbers;
replicates that its cells get later on account of other claims do not change it.

`max` belongs to what is written down beforehand. Raised after seeing results, the error rate is no longer kept.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from study.analysis.stats.claims import Verdict, contrasts_of, decisive_p_values, verdicts
from study.analysis.stats.contrasts import Contrast, attempted
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels
from study.utils.errors import StudyError


@dataclass(frozen=True)
class Look:
    """What is known after a look. `wanted` is the number of replicates that `cells` need for the next one."""

    index: int  # from 0; -1 before the first
    replicates: int  # looked at
    verdicts: tuple[Verdict, ...]
    cells: tuple[Labels, ...]  # those of undecided claims; none after the last look
    wanted: int  # replicates of these cells for the next look; those of this one where there is none

    @property
    def undecided(self) -> tuple[int, ...]:
        """Positions of the undecided claims."""
        return tuple(i for i, verdict in enumerate(self.verdicts) if verdict.verdict == "undecided")


def look_schedule(least: int, most: int) -> tuple[int, ...]:
    """Replicates at each look, from least to most, as near to doubling as whole steps allow: (3, 10) gives 3, 6, 10.

    Raises StudyError unless 2 <= least <= most.
    """
    if not 2 <= least <= most:
        raise StudyError(
            f"replicates from {least} to {most} are not possible: an interval needs at least 2, and max is at least min"
        )
    steps = max(1, round(math.log2(most / least))) if most > least else 0
    early = (least * (most / least) ** (i / steps) for i in range(steps))
    return (*(math.ceil(n - 1e-9) for n in early), most)  # rounded up, but not on account of the last bit


def look_shares(schedule: Sequence[int]) -> tuple[float, ...]:
    """Each look's share of alpha: the growth of (n / max)^2 since the look before. They sum to 1."""
    spent = [0.0, *((n / schedule[-1]) ** 2 for n in schedule)]
    return tuple(now - before for before, now in itertools.pairwise(spent))


def look(
    claims: Sequence[ClaimSpec],
    data: pd.DataFrame,
    factors: Factors,
    least: int,
    most: int,
    index: int | None = None,
    alpha: float = 0.05,
) -> Look:
    """The verdicts after look `index`, replayed from the data; None is the last look that the data reach.

    `data` and `factors` are as for `claims.judge`; replicates count from 1. A look is reached when every trial that it
    needs was run, done or failed: has a row whose `status`, if there is one, is not "missing". Nothing is remembered
    between looks: each replays those before it, so a sweep that was cut short, or a report made later, comes to the
    same verdicts. Before the first look every claim is undecided. Raises StudyError as `claims.judge` does, and for
    an impossible number of replicates or look.
    """
    schedule = look_schedule(least, most)
    if index is not None and not -1 <= index < len(schedule):
        raise StudyError(f"look {index} is not possible: {least} to {most} replicates have {len(schedule)} looks")
    states = _replayed(claims, data, factors, schedule, alpha, as_reached=index is None)
    *_, last = itertools.islice(states, None if index is None else index + 2)
    return last


def looks(
    claims: Sequence[ClaimSpec], data: pd.DataFrame, factors: Factors, least: int, most: int, alpha: float = 0.05
) -> list[Look]:
    """All looks that the data reach, as `look` gives them: first the state before any, last what is known now."""
    return list(_replayed(claims, data, factors, look_schedule(least, most), alpha, as_reached=True))


def _replayed(
    claims: Sequence[ClaimSpec],
    data: pd.DataFrame,
    factors: Factors,
    schedule: Sequence[int],
    alpha: float,
    as_reached: bool,
) -> Iterator[Look]:
    """Look after look; `as_reached`: until one is not reached, or nothing is left to decide."""
    state = _before(claims, data, factors, schedule, alpha)
    yield state
    for n, share in zip(schedule, look_shares(schedule), strict=True):
        open_claims = [claims[i] for i in state.undecided]
        contrasts = contrasts_of(open_claims, data[data["replicate"] <= n], factors)
        if as_reached and not (open_claims and _is_reached(contrasts, data, factors, n)):
            return
        now = verdicts(open_claims, contrasts, decisive_p_values(open_claims, contrasts), alpha, share)
        state = _after(state, contrasts, now, schedule)
        yield state


def _before(
    claims: Sequence[ClaimSpec], data: pd.DataFrame, factors: Factors, schedule: Sequence[int], alpha: float
) -> Look:
    """No look yet: numbers of the replicates there are, and no verdict."""
    contrasts = contrasts_of(claims, data[data["replicate"] <= schedule[0]], factors)
    note = f"the first look is after {schedule[0]} replicates"
    found = verdicts(claims, contrasts, decisive_p_values(claims, contrasts), alpha, look_shares(schedule)[0])
    undecided = tuple(replace(verdict, verdict="undecided", note=note) for verdict in found)
    return Look(-1, 0, undecided, _cells(contrasts), schedule[0])


def _after(state: Look, contrasts: Sequence[Contrast], now: Sequence[Verdict], schedule: Sequence[int]) -> Look:
    """The next look: its verdicts take the place of the claims that were undecided."""
    index, merged = state.index + 1, list(state.verdicts)
    for i, verdict in zip(state.undecided, now, strict=True):
        merged[i] = verdict
    last = index + 1 == len(schedule)
    still = [found for found, verdict in zip(contrasts, now, strict=True) if verdict.verdict == "undecided"]
    cells = () if last else _cells(still)
    return Look(index, schedule[index], tuple(merged), cells, schedule[index if last else index + 1])


def _is_reached(contrasts: Sequence[Contrast], data: pd.DataFrame, factors: Factors, n: int) -> bool:
    run = attempted(data, factors)
    return all((cell, replicate) in run for cell in _cells(contrasts) for replicate in range(1, n + 1))


def _cells(contrasts: Sequence[Contrast]) -> tuple[Labels, ...]:
    return tuple(dict.fromkeys(cell for found in contrasts for cell in found.cells))
