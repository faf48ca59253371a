"""Numbers as people say them."""

import pytest

from study.utils.text import plural, points


@pytest.mark.parametrize(
    ("share", "digits", "said"),
    [
        (0.01, 3, "1 point"),
        (-0.01, 3, "1 point"),
        (0.0104, 2, "1 point"),
        (0.005, 3, "0.5 points"),
        (0.0, 3, "0 points"),
        (0.02, 3, "2 points"),
    ],
)
def test_points(share: float, digits: int, said: str) -> None:
    assert points(share, digits) == said


def test_plural() -> None:
    assert [plural(n, "trial") for n in (0, 1, 2, 1200)] == ["0 trials", "1 trial", "2 trials", "1,200 trials"]
