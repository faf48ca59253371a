"""What claims and contrasts can be about: the metrics, their units, and which values are better."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from study.utils import formats

DEFAULT = "test_accuracy"
LARGEST_BARE = 0.2  # a larger margin of a share, written without a unit, is probably meant as percentage points

_AMOUNT = re.compile(
    r"\s*(?P<number>[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d{1,2})?)\s*(?P<unit>\S.*?)?\s*"
)


class Source(StrEnum):
    """Where the values of a metric come from, which decides how a claim about it is judged."""

    TRIALS = "trials"  # one value per replicate: judged with an interval
    SETTINGS = "settings"  # counted, equal in all replicates: judged by arithmetic
    EXPORT = "export"  # measured once per cell by `study export`: judged by arithmetic


@dataclass(frozen=True)
class Unit:
    """The unit in which reports show the differences of a metric: `scale` times the stored number.

    `factors` are the units that a grid accepts in `margin`, and `values` those that it accepts in `against`, each with
    the factor that turns a number in that unit into the stored number.
    """

    name: str
    scale: float = 1.0
    decimals: int = 2
    factors: Mapping[str, str] = field(default_factory=dict, compare=False)
    values: Mapping[str, str] = field(default_factory=dict, compare=False)
    value_name: str = ""  # of a value, where it differs from that of a difference

    @property
    def is_share(self) -> bool:
        """Whether the stored number is a share from 0 to 1."""
        return self.name == "points"

    def signed(self, difference: float) -> str:
        """A difference with its sign, rounded, without the unit."""
        return formats.signed(difference * self.scale, self.decimals)

    def signed_with(self, difference: float, low: float, high: float) -> str:
        """A difference, and its interval if there is one."""
        return formats.with_interval(self.signed, difference, low, high)

    def plus_minus(self, difference: float, low: float, high: float) -> str:
        """The same with half the width of the interval."""
        return formats.with_half_width(self.signed, self._unsigned, difference, low, high)

    def _unsigned(self, difference: float) -> str:
        return formats.fixed(difference * self.scale, self.decimals)

    def unrounded(self, difference: float) -> str:
        """A difference with its sign and all of its decimals, without the unit: ends of regions are never rounded."""
        exact = Decimal(repr(float(difference))) * Decimal(repr(self.scale))
        written = f"{exact:+,.{self._decimals_of(exact)}f}"
        return written.lstrip("+-") if exact == 0 else written.replace("-", formats.MINUS)

    def value(self, number: float) -> str:
        """A value with its unit and all of its decimals: 70.88 %, 3.00 s."""
        exact = Decimal(repr(float(number))) * Decimal(repr(self.scale))
        number_only = f"{exact:,.{self._decimals_of(exact)}f}".replace("-", formats.MINUS)
        return f"{number_only} {self.value_name or self.name}"

    def _decimals_of(self, exact: Decimal) -> int:
        exponent = exact.normalize().as_tuple().exponent
        return max(self.decimals, -exponent if isinstance(exponent, int) else 0)


POINTS = Unit(
    "points",
    100.0,
    factors={"points": "0.01"},
    values={"%": "0.01"},
    value_name="%",
)
_TIMES = {"s": "1", "ms": "0.001", "min": "60", "h": "3600"}
SECONDS = Unit("s", factors=_TIMES, values=_TIMES)
_LATENCIES = {"ms": "1", "s": "1000"}
MILLISECONDS = Unit("ms", factors=_LATENCIES, values=_LATENCIES)
_SIZES = {"bytes": "1", "kB": "1e3", "MB": "1e6"}
MEGABYTES = Unit("MB", 1e-6, factors=_SIZES, values=_SIZES)
_PARAMETERS = {"parameters": "1", "k": "1e3", "M": "1e6", "G": "1e9"}
PARAMETERS = Unit("parameters", decimals=0, factors=_PARAMETERS, values=_PARAMETERS)
_MULTIPLY_ADDS = {"multiply-adds": "1", "k": "1e3", "M": "1e6", "G": "1e9"}
MULTIPLY_ADDS = Unit("multiply-adds", decimals=0, factors=_MULTIPLY_ADDS, values=_MULTIPLY_ADDS)
SPELLINGS = {  # other spellings of units; without regard to capitals, unless they are another unit
    **dict.fromkeys(("point", "pp", "percentage points", "percentage point"), "points"),
    "percent": "%",
    **dict.fromkeys(("second", "seconds", "sec"), "s"),
    **dict.fromkeys(("millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("minute", "minutes"), "min"),
    **dict.fromkeys(("hour", "hours"), "h"),
    "k": "k",
    "byte": "bytes",
    "kb": "kB",
    "parameter": "parameters",
    **dict.fromkeys(("multiply-add", "macs"), "multiply-adds"),
}


@dataclass(frozen=True)
class Metric:
    """A column of results.csv, or of device.csv, that cells can be compared in."""

    name: str
    unit: Unit
    better: Literal["higher", "lower"]
    source: Source
    meaning: str
    worst: float | None = None  # the worst possible value, if there is one

    @property
    def by_replicate(self) -> bool:
        """Whether each replicate has a value of its own."""
        return self.source == Source.TRIALS


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("test_accuracy", POINTS, "higher", Source.TRIALS, "share of test images classified correctly", 0.0),
        Metric("val_accuracy", POINTS, "higher", Source.TRIALS, "share of validation images classified correctly", 0.0),
        Metric("train_seconds", SECONDS, "lower", Source.TRIALS, "time of fine-tuning"),
        Metric("pretrain_seconds", SECONDS, "lower", Source.TRIALS, "time of pre-training"),
        Metric("params", PARAMETERS, "lower", Source.SETTINGS, "parameters"),
        Metric("params_active", PARAMETERS, "lower", Source.SETTINGS, "parameters used for one token"),
        Metric("macs", MULTIPLY_ADDS, "lower", Source.SETTINGS, "multiply-adds for one image"),
        Metric("macs_active", MULTIPLY_ADDS, "lower", Source.SETTINGS, "multiply-adds of top-k experts only"),
        Metric("fp32_ms", MILLISECONDS, "lower", Source.EXPORT, "latency of one image, exported in float32"),
        Metric("int8_ms", MILLISECONDS, "lower", Source.EXPORT, "latency of one image, exported in int8"),
        Metric("fp32_bytes", MEGABYTES, "lower", Source.EXPORT, "size of the file exported in float32"),
        Metric("int8_bytes", MEGABYTES, "lower", Source.EXPORT, "size of the file exported in int8"),
    )
}
BY_REPLICATE = tuple(name for name, metric in METRICS.items() if metric.by_replicate)


def metric_of(name: object) -> Metric:
    """The metric of a name; one without a unit, of which higher values are better, for a name that is not listed."""
    return METRICS.get(str(name)) or Metric(str(name), Unit(""), "higher", Source.TRIALS, "")


def unit_of(metric: str) -> Unit:
    """The unit of a metric's differences."""
    return metric_of(metric).unit


def amount(written: str, units: Mapping[str, str]) -> float:
    """A number with a unit as the stored number: `0.5 points` is 0.005. `units` gives the factor of each unit.

    Raises ValueError for other text, and for a unit that is not among them.
    """
    found = _AMOUNT.fullmatch(written)
    unit = _unit(found["unit"]) if found else ""
    if found is None or unit not in units:
        valid = f", or a number with a unit ({', '.join(units)})" if units else ""
        raise ValueError(f'invalid value "{written}": must be a number{valid}')
    return float(Decimal(found["number"]) * Decimal(units[unit]))


def _unit(written: str | None) -> str:
    """A unit in its first spelling; as written if it has no other."""
    words = " ".join((written or "").split())
    return SPELLINGS.get(words.lower(), words.lower() if words.lower() in SPELLINGS.values() else words)


def _check_not_negative(number: Any, written: Any, name: str) -> None:
    if _is_finite(number) and number < 0:
        shown = f'"{written}"' if isinstance(written, str) else f"{written:g}"
        raise ValueError(f"invalid {name} {shown}: must be 0 or more")


def margin_of(written: Any, metric: Metric) -> Any:
    """A margin as the stored number; what is neither text nor a number is returned as it is.

    Raises ValueError for a unit that does not suit the metric, for a negative number, and for a share above
    `LARGEST_BARE` without a unit, since 0.5 may mean half a point or 50 points.
    """
    if isinstance(written, str):
        number: Any = (
            _share_margin(written, metric.unit) if metric.unit.is_share else amount(written, metric.unit.factors)
        )
    else:
        number = written
        if metric.unit.is_share and _is_finite(written) and written > LARGEST_BARE:
            raise ValueError(_ambiguous(written))
    _check_not_negative(number, written, "margin")
    return number


def _ambiguous(written: float) -> str:
    """The message for a margin of an accuracy that is probably meant in points."""
    meant = [f"`{number:g} point{'' if number == 1 else 's'}`" for number in (written, 100 * written) if number <= 100]
    question = f"; did you mean {' or '.join(meant)}?" if meant else ", so a margin is at most `100 points`"
    return f"invalid margin {written:g}: accuracies are shares from 0 to 1{question}"


def _share_margin(written: str, unit: Unit) -> float:
    found = _AMOUNT.fullmatch(written)
    if found is not None and _unit(found["unit"]) in unit.values:
        raise ValueError(
            f'invalid margin "{written}": {found["unit"]} of an accuracy may mean points or a ratio; for a difference '
            f"in percentage points write `{found['number']} point{'' if found['number'] == '1' else 's'}`"
        )
    share = amount(written, unit.factors)
    if share > 1:
        raise ValueError(f'invalid margin "{written}": accuracies differ by at most 100 points')
    return share


def value_of(written: Any, metric: Metric) -> Any:
    """A number that cells are compared with, as the stored number; other forms are returned as they are.

    Raises ValueError for a unit that does not suit the metric, for a negative number, and for an accuracy above 1.
    """
    if isinstance(written, str):
        found = _AMOUNT.fullmatch(written)
        if found is not None and metric.unit.is_share and _unit(found["unit"]) in metric.unit.factors:
            raise ValueError(f'invalid value "{written}": write an accuracy as `{found["number"]} %`')
    number = amount(written, metric.unit.values) if isinstance(written, str) else written
    _check_not_negative(number, written, "value")
    if metric.unit.is_share and _is_finite(number) and number > 1:
        shown = f'"{written}"' if isinstance(written, str) else f"{written:g}"
        meant = "" if isinstance(written, str) or number > 100 else f"; did you mean `{number:g} %`?"
        raise ValueError(f"invalid value {shown}: accuracies are shares from 0 to 1{meant}")
    return number


def _is_finite(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)


def margin_in_points(share: float) -> str:
    """A share as it may be written in `margin`, exactly: 0.5 as `50 points`."""
    return f"{(Decimal(repr(share)) * 100).normalize():f} points"
