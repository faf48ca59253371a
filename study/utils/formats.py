"""Number formats for readers: a true minus sign, units, and a dash for missing values."""

import math
from collections.abc import Callable
from numbers import Real

PERCENT = "\N{NO-BREAK SPACE}%"
NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def subject(count: int, total: int, noun: str) -> str:
    """How many of a total, with the verb: none of the 2 changes is, 1 of 2 changes is, the only change is not."""
    if total == 1:
        return f"the only {noun} is" if count else f"the only {noun} is not"
    if count == 0:
        return f"none of the {total:,} {noun}s is"
    return f"{count:,} of {total:,} {noun}s {'is' if count == 1 else 'are'}"


def percent(share: float) -> str:
    """0.94631 as 94.63, for columns and sentences whose unit is %."""
    return fixed(100 * share, 2)


def percent_with(mean: float, low: float, high: float) -> str:
    """A mean, and its 95 % interval if there is one: 94.63 (93.12 to 96.14)."""
    return with_interval(percent, mean, low, high)


def percent_range(low: float, high: float) -> str:
    """An interval without its mean: 93.12 to 96.14."""
    return NONE if _unknown(low) or _unknown(high) else f"{percent(low)} to {percent(high)}"


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign: 0.0031 as +0.31."""
    return NONE if _unknown(share) else signed(100 * share, 2)


def signed(number: float, decimals: int) -> str:
    """A number with its sign: +1,234.50; zero has none."""
    if _unknown(number):
        return NONE
    written = f"{number:+,.{decimals}f}"
    return f"{0:.{decimals}f}" if float(written.replace(",", "")) == 0 else written.replace("-", MINUS)


def points_with(difference: float, low: float, high: float) -> str:
    """A difference, and its 95 % interval if there is one: +0.31 (−0.20 to +0.82)."""  # noqa: RUF002
    return with_interval(points, difference, low, high)


def percent_plus_minus(mean: float, low: float, high: float) -> str:
    """A mean with half the width of its interval: 94.63 ± 1.51; an asymmetric (cut) interval is given in full."""
    return with_half_width(percent, percent, mean, low, high)


def points_plus_minus(difference: float, low: float, high: float) -> str:
    """A difference with half the width of its interval: +0.31 ± 0.51."""
    return with_half_width(points, percent, difference, low, high)


def p_value(value: float) -> str:
    """Three decimals: 0.043, <0.001."""
    if _unknown(value):
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def hundredths(number: float) -> str:
    """Two decimals; used for effect sizes."""
    return fixed(number, 2).replace(f"{MINUS}0.00", "0.00")


def count(number: float) -> str:
    """A whole number, all digits: 663,024."""
    return NONE if _unknown(number) else f"{int(number):,}"


def short(number: float) -> str:
    """Three significant digits with a unit prefix: 67.3 k, 663 k, 1.21 G, 4.05 T, 2.10 P."""
    if _unknown(number):
        return NONE
    for size, unit in ((1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return significant(number / size) + unit
    return f"{number:.0f}"


def megabytes(number: float) -> str:
    """Bytes as megabytes: 2.68 MB."""
    return NONE if _unknown(number) else f"{number / 1e6:.2f} MB"


def size(number: float) -> str:
    """Bytes with three significant digits: 512 B, 67.3 kB, 1.21 GB."""
    written = short(number)
    return f"{written}B" if written[-1].isalpha() else f"{written} B"


def significant(number: float, digits: int = 3) -> str:
    """That many significant digits, without exponent, trailing zeros kept."""
    if _unknown(number) or number == 0:
        return NONE if _unknown(number) else "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    return fixed(number, decimals)


def duration(seconds: float) -> str:
    """8.4 s, 3 min 20 s, 2 h 05 min."""
    if _unknown(seconds):
        return NONE
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def age(seconds: float) -> str:
    """3 min 20 s, 2 h 05 min, 12 days; 0 for times in the future, where clocks differ."""
    return f"{seconds / 86400:.0f} days" if seconds >= 2 * 86400 else duration(max(0.0, seconds))


def fixed(number: float, decimals: int) -> str:
    """With that many decimals."""
    return NONE if _unknown(number) else f"{number:,.{decimals}f}".replace("-", MINUS)


def with_interval(write: Callable[[float], str], value: float, low: float, high: float) -> str:
    """A value, and its interval if there is one."""
    if _unknown(low) or _unknown(high):
        return write(value)
    return f"{write(value)} ({'no spread' if low == high else f'{write(low)} to {write(high)}'})"


def with_half_width(
    write: Callable[[float], str], write_half: Callable[[float], str], value: float, low: float, high: float
) -> str:
    """A value with half the width of its interval; an asymmetric (cut) interval is given in full."""
    if _unknown(low) or _unknown(high):
        return write(value)
    if not math.isclose(high - value, value - low, abs_tol=1e-9):
        return with_interval(write, value, low, high)
    return f"{write(value)} ± {write_half((high - low) / 2)}"


def _unknown(number: float) -> bool:
    return not isinstance(number, Real) or not math.isfinite(number)  # also None and pandas.NA
