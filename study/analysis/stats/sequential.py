"""Sequential testing: replicates are added only for undecided claims (`replicates: {min, max, until: claims}`).

There are a few interim analyses (looks): after `min` replicates, then each time their number has about doubled, and
after `max`. Every look can decide a claim, so every look gets a share of alpha: with t = n / max, it is t^2 minus the
t^2 of the previous look, and the shares sum to 1. This is alpha spending (Lan & DeMets 1983, Biometrika 70:659-663)
with the power family alpha t^rho at rho = 2 (Kim & DeMets 1987, Biometrika 74:149-154). The usual boundaries assume
normal data with known variance; with t-tests from 3 replicates on, their error rate was 5.6% of simulated studies
instead of 5%. So the level of a look is its share of alpha (Bonferroni over looks): valid for t-tests of any n, and,
since the looks are far apart, with at most about 3 points less power than exact boundaries.

Several claims: at each look the undecided ones are Holm-adjusted among themselves (Maurer & Bretz 2013, Stat. Biopharm.
Res. 5:311-320): a decided claim passes its alpha on. A decided claim keeps its verdict and its numbers; replicates that
its cells get later because of other claims do not change it.

The error of a look is chosen from the cells of its undecided claims (`error_choice`): other cells may have fewer
replicates, and what they get later does not change it.

`max` is part of the design. Raising it after seeing results inflates the error rate.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import pandas as pd

from study.analysis.stats.contrasts import Contrast, attempted
from study.analysis.stats.failed import as_failed
from study.analysis.stats.verdict_rule import Verdict, contrasts_of, errors_of, verdicts
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels
from study.design.failures import DEFAULT, FailureRule
from study.utils.errors import StudyError
from study.utils.text import plural

FailedAt = Mapping[int, Set[tuple[Labels, int]]]  # replicates of a look: cell and replicate of failed trials
NEVER: FailedAt = {}


@dataclass(frozen=True)
class Look:
    """The state after a look (an interim analysis)."""

    index: int  # from 0; -1 before the first
    replicates: int  # analysed
    verdicts: tuple[Verdict, ...]
    cells: tuple[Labels, ...]  # of the undecided claims; none after the last look
    requested: int  # replicates of these cells for the next look; after the last look, those of the last look

    @property
    def undecided(self) -> tuple[int, ...]:
        """Positions of the undecided claims."""
        return tuple(i for i, verdict in enumerate(self.verdicts) if verdict.verdict == "undecided")


def look_schedule(least: int, most: int) -> tuple[int, ...]:
    """Replicates at each look, from least to most, growing by a factor close to 2: (3, 10) gives 3, 6, 10.

    Raises StudyError unless 2 <= least <= most.
    """
    if not 2 <= least <= most:
        raise StudyError(
            f"invalid replicates {least} to {most}: min must be 2 or more (an interval needs 2), and max at least min"
        )
    steps = max(1, round(math.log2(most / least))) if most > least else 0
    early = (least * (most / least) ** (i / steps) for i in range(steps))
    return (*(math.ceil(n - 1e-9) for n in early), most)  # rounded up, ignoring floating-point error


def look_shares(schedule: Sequence[int]) -> tuple[float, ...]:
    """Each look's share of alpha: the increase of (n / max)^2 since the previous look. The shares sum to 1."""
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
    failures: FailureRule = DEFAULT,
    failed_at: FailedAt = NEVER,
) -> Look:
    """The verdicts after look `index`, replayed from the data; None is the last look that the data allow.

    `data` and `factors` are as for `claims.judge`; replicates count from 1. A look is reached when every trial that it
    needs has run, done or failed: it has a row whose `status`, if there is one, is not "missing". Each look replays the
    earlier ones, so a resumed sweep and a later report reach the same verdicts. `failed_at` are the trials that had
    failed when a look was made: a retry that succeeds later does not change that look. The other results are in the
    data.
    Before the first look every claim is undecided. Raises StudyError as `claims.judge` does, and for an invalid number
    of replicates or look.
    """
    schedule = look_schedule(least, most)
    if index is not None and not -1 <= index < len(schedule):
        raise StudyError(
            f"invalid look {index}: {least} to {plural(most, 'replicate')} have {plural(len(schedule), 'look')}, "
            "counted from 0"
        )
    replay = _Replay(claims, data, factors, schedule, alpha, failures, failed_at)
    states = replay.states(as_reached=index is None)
    *_, last = itertools.islice(states, None if index is None else index + 2)
    return last


def looks(
    claims: Sequence[ClaimSpec],
    data: pd.DataFrame,
    factors: Factors,
    least: int,
    most: int,
    alpha: float = 0.05,
    failures: FailureRule = DEFAULT,
    failed_at: FailedAt = NEVER,
) -> list[Look]:
    """All looks that the data allow, from the state before the first one to the current one."""
    replay = _Replay(claims, data, factors, look_schedule(least, most), alpha, failures, failed_at)
    return list(replay.states(as_reached=True))


def at_look(data: pd.DataFrame, factors: Factors, replicates: int, failed_at: FailedAt) -> pd.DataFrame:
    """The data that a look after this number of replicates was made on."""
    analysed = data[(data["replicate"] <= replicates).fillna(False)]
    return as_failed(analysed, factors, failed_at.get(replicates, frozenset()))


@dataclass(frozen=True)
class _Replay:
    """The looks at claims, replayed from the data."""

    claims: Sequence[ClaimSpec]
    data: pd.DataFrame
    factors: Factors
    schedule: Sequence[int]
    alpha: float
    failures: FailureRule
    failed_at: FailedAt

    def states(self, as_reached: bool) -> Iterator[Look]:
        """The looks in order; with `as_reached`, until one is not reached or all claims are decided."""
        state = self._before()
        yield state
        for n, share in zip(self.schedule, look_shares(self.schedule), strict=True):
            open_claims = [self.claims[i] for i in state.undecided]
            then = at_look(self.data, self.factors, n, self.failed_at)
            contrasts = contrasts_of(open_claims, then, self.factors, self.failures)
            if as_reached and not (open_claims and _is_reached(contrasts, self.data, self.factors, n)):
                return
            errors = errors_of(open_claims, then, self.factors, self.failures, _cells(contrasts))
            now = verdicts(open_claims, contrasts, errors, self.alpha, share, self._next(n))
            state = _after(state, contrasts, now, self.schedule)
            yield state

    def _next(self, n: int) -> int | None:
        """The number of replicates at the look after that at n; None after the last."""
        return next((later for later in self.schedule if later > n), None)

    def _before(self) -> Look:
        """The state before the first look: estimates from the available replicates, no verdicts."""
        first = self.schedule[0]
        available = self.data[self.data["replicate"] <= first]
        contrasts = contrasts_of(self.claims, available, self.factors, self.failures)
        note = f"the first look is after {plural(first, 'replicate')}"
        errors = errors_of(self.claims, available, self.factors, self.failures, _cells(contrasts))
        found = verdicts(self.claims, contrasts, errors, self.alpha, look_shares(self.schedule)[0])
        undecided = tuple(replace(verdict, verdict="undecided", note=note) for verdict in found)
        return Look(-1, 0, undecided, _cells(contrasts), first)


def _after(state: Look, contrasts: Sequence[Contrast[Labels]], now: Sequence[Verdict], schedule: Sequence[int]) -> Look:
    """The next look: its verdicts replace those of the undecided claims."""
    index, merged = state.index + 1, list(state.verdicts)
    for i, verdict in zip(state.undecided, now, strict=True):
        merged[i] = verdict
    last = index + 1 == len(schedule)
    still = [found for found, verdict in zip(contrasts, now, strict=True) if verdict.verdict == "undecided"]
    cells = () if last else _cells(still)
    return Look(index, schedule[index], tuple(merged), cells, schedule[index if last else index + 1])


def _is_reached(contrasts: Sequence[Contrast[Labels]], data: pd.DataFrame, factors: Factors, n: int) -> bool:
    run = attempted(data, factors)
    return all((cell, replicate) in run for cell in _cells(contrasts) for replicate in range(1, n + 1))


def _cells(contrasts: Sequence[Contrast[Labels]]) -> tuple[Labels, ...]:
    return tuple(dict.fromkeys(cell for found in contrasts for cell in found.cells))
