"""Numbers as people say them: 1 trial, 2 trials; 1 point, 0.5 points."""


def plural(number: int, noun: str) -> str:
    """1 trial, 2 trials."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def points(share: float, digits: int = 3) -> str:
    """How large a difference of shares is, in percentage points without its sign: 0.005 as 0.5 points."""
    written = f"{100 * abs(share):.{digits}g}"
    return f"{written} point{'' if written == '1' else 's'}"


def clock_time(seconds: float) -> str:
    """As in 0:42, 12:05, 3:07:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
