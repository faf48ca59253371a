"""Forecasts from few replicates, as ranges: the standard deviation is itself an estimate.

With df degrees of freedom, df s^2 / sigma^2 has a chi-square distribution, which gives an interval for sigma. A needed
number of replicates is forecast at both of its ends. The level is 80 %, so the upper end exceeds sigma in 90 % of
studies; for sample sizes from pilot data Browne (1995, Statist. Med. 14:1933-1940) recommends such a one-sided bound
instead of s itself, with which about half of all studies would be too small.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.freedom import PAIRED, Freedom, SdAndDf
from study.analysis.stats.power import inside_power, needed_by_sd, paired_power
from study.design.claim_kinds.claim_kind import Region
from study.utils.text import plural

LEVEL = 0.8  # of the interval of a standard deviation
REASONABLE = 100  # replicates; more are not decidable at any reasonable cost
POWER = 0.8
MOST_IMAGES = 1_000_000
UNREASONABLE = f"at any reasonable cost (more than {plural(REASONABLE, 'replicate')})"


@dataclass(frozen=True)
class Spread:
    """An estimated standard deviation, and the ends of its interval."""

    sd: float
    low: float
    high: float

    @classmethod
    def of(cls, sd: float, df: float, most: float = math.inf) -> "Spread":
        """The chi-square interval of a standard deviation that has df degrees of freedom; all of it at most `most`."""
        tail = (1 - LEVEL) / 2
        low, high = (sd * math.sqrt(df / float(stats.chi2.isf(p, df))) for p in (tail, 1 - tail))
        return cls(*(min(end, most) for end in (sd, low, high)))

    @property
    def ends(self) -> tuple[float, float, float]:
        """Lower end, estimate, upper end."""
        return self.low, self.sd, self.high


@dataclass(frozen=True)
class Forecast:
    """A needed number of replicates: at the lower end of the SD's interval, its estimate, and the upper end.

    None: more than `REASONABLE`.
    """

    low: int | None
    middle: int | None
    high: int | None

    @property
    def is_reasonable(self) -> bool:
        """Whether the number is at most `REASONABLE` at the estimated SD."""
        return self.low is not None and self.middle is not None

    def text(self, noun: str = "replicate") -> str:
        """As in `6 to 34 replicates`, `12 to more than 100 replicates`. Only for a reasonable number."""
        assert self.low is not None
        if self.low == self.high:
            return plural(self.low, noun)
        return f"{self.low} to {plural(self.high, noun) if self.high else f'more than {plural(REASONABLE, noun)}'}"


def replicates_to_decide(
    region: Region, difference: float, spread: Spread, alpha: float = 0.05, freedom: Freedom = PAIRED
) -> Forecast:
    """The replicates with which a claim is decided with 80 % power if this is the true difference.

    Supported by a difference in the region, refuted by one outside. A bounded region needs the interval to be between
    both of its ends, which takes more than its distance from the nearer end suggests.
    """
    return Forecast(*(_fewest(region, difference, sd, alpha, freedom) for sd in spread.ends))


def _fewest(region: Region, difference: float, sd: float, alpha: float, freedom: Freedom) -> int | None:
    return _first(lambda n: _power(region, difference, n, freedom.tests(sd, n), alpha), REASONABLE)


def _power(region: Region, difference: float, n: int, tests: Sequence[SdAndDf], alpha: float) -> float:
    """The probability that all tests decide a claim; they are taken as one, whose power is the least."""
    return min(_power_of(region, difference, n, sd, df, alpha) for sd, df in tests)


def _power_of(region: Region, difference: float, n: int, sd: float, df: float, alpha: float) -> float:
    if region.low < difference < region.high:
        return inside_power(n, difference, sd, region.low, region.high, alpha, df)
    distance = max(region.low - difference, difference - region.high)
    return paired_power(n, distance, sd, alpha, df) if distance > 0 else 0.0


def _first(power: Callable[[int], float], most: int, least: int = 1) -> int | None:
    """The smallest number with the power, which grows with it and is not reached by the least; None if above `most`."""
    low, high = least, most
    if power(high) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def images_to_decide(region: Region, difference: float, sd: float, alpha: float, freedom: Freedom) -> int | None:
    """The test images with which as many replicates as so far decide a claim with 80 % power, at this SD so far.

    None without an error of images, and for more than `MOST_IMAGES`.
    """
    if (found := freedom.crossed) is None:
        return None
    n = found.replicates
    return _first(
        lambda images: _power(region, difference, n, freedom.tests(sd, n, images), alpha), MOST_IMAGES, found.images
    )


def replicates_to_detect(
    effect: float, spreads: Sequence[Spread], df_each: Sequence[float] | None = None
) -> list[Forecast]:
    """The replicates whose t-test at level 5 % detects a true difference with 80 % power, by spread.

    `df_each` are the degrees of freedom that each replicate adds, by spread: 1, if not given, for the paired test.
    """
    sds = [sd for spread in spreads for sd in spread.ends]
    added = None if df_each is None else [one for one in df_each for _ in range(3)]
    needed = iter(needed_by_sd(effect, sds, POWER, most=REASONABLE, df_each=added))
    return [Forecast(next(needed), next(needed), next(needed)) for _ in spreads]


def would_decide(
    region: Region, difference: float, spread: Spread, alpha: float = 0.05, freedom: Freedom = PAIRED
) -> str:
    """How many replicates of a new study would decide a claim with the test of `freedom`, as the end of a sentence.

    New ones, because an undecided claim that is tested again with more replicates of the same study has a higher error
    rate (measured in `calibrate`).
    """
    needed = replicates_to_decide(region, difference, spread, alpha, freedom)
    if not needed.is_reasonable:
        return (
            f"this claim is not decidable {UNREASONABLE} if the true difference equals the estimate"
            f"{_on_more_images(region, difference, spread, alpha, freedom)}"
        )
    return (
        f"{needed.text('new replicate')} in a study of their own (study replicate) would decide this claim with 80% "
        f"power ({freedom.test}) if the true difference equals the estimate"
    )


def _on_more_images(region: Region, difference: float, spread: Spread, alpha: float, freedom: Freedom) -> str:
    """What the number of test images has to do with it, if they are part of the error."""
    needed = images_to_decide(region, difference, spread.sd, alpha, freedom)
    if needed is None or freedom.crossed is None:
        return ""
    step = 10 ** max(len(str(needed)) - 2, 0)  # two significant digits
    return (
        f"; on about {-(-needed // step) * step:,} test images (now {freedom.crossed.images:,}), "
        f"{plural(freedom.crossed.replicates, 'replicate')} would decide it with 80% power"
    )


def not_distinguishable(
    ns: Sequence[int],
    spreads: Sequence[Spread | None],
    effect: float,
    name: str,
    df_each: Sequence[float] | None = None,
) -> list[str]:
    """A message for each difference that n replicates do not show; `name` is that of the `effect`, as in 0.5 points.
    `df_each` is as for `replicates_to_detect`, with any value where the spread is None.

    For example: not distinguishable at n = 5: 9 to 47 replicates would be needed to see 0.5 points.
    """
    known = [i for i, spread in enumerate(spreads) if spread is not None]
    added = None if df_each is None else [df_each[i] for i in known]
    found = iter(replicates_to_detect(effect, [spread for spread in spreads if spread is not None], added))
    needs = ("" if spread is None else _needs(n, next(found), name) for n, spread in zip(ns, spreads, strict=True))
    return [f"not distinguishable at n = {n}{need}" for n, need in zip(ns, needs, strict=True)]


def _needs(n: int, needed: Forecast, name: str) -> str:
    if not needed.is_reasonable:
        return f", and {name} cannot be detected {UNREASONABLE}"
    if needed.high is not None and needed.high <= n:
        return f", although {needed.text()} have 80% power for {name}"  # at least two
    return f": {needed.text()} would be needed to see {name}"  # at least two
