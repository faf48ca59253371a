"""Numbers as people say them: 1 trial, 2 trials; 1 point, 0.5 points."""


def plural(number: int, noun: str) -> str:
    """1 trial, 2 trials."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def points(share: float, digits: int = 3) -> str:
    """How large a difference of shares is, in percentage points without its sign: 0.005 as 0.5 points."""
    written = f"{100 * abs(share):.{digits}g}"
    return f"{written} point{'' if written == '1' else 's'}"
