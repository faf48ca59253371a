"""Designs that change one thing at a time: from a baseline, from a full model, from a bare one, or from both ends."""

from collections.abc import Iterator

from study.design.kinds.ask import Ask, Codes


def check_nothing(ask: Ask) -> None:
    """Any levels will do."""


def check_removes(ask: Ask) -> None:
    """Raises StudyError for a factor that cannot be a part which is there or not."""
    _check_parts(ask, "leave_one_out", "the baseline has the part and its one other level removes it")


def check_adds(ask: Ask) -> None:
    """Raises StudyError for a factor that cannot be a part which is there or not."""
    _check_parts(ask, "add_one", "the baseline lacks the part and its one other level adds it")


def count(ask: Ask) -> int:
    return 1 + sum(number - 1 for number in ask.levels)


def cells(ask: Ask) -> Iterator[Codes]:
    """The baseline, and every cell that differs from it in one factor."""
    baseline = (0,) * len(ask.levels)
    yield baseline
    for i, number in enumerate(ask.levels):
        for level in range(1, number):
            yield (*baseline[:i], level, *baseline[i + 1 :])


def count_both(ask: Ask) -> int:
    return len(list(both(ask)))


def both(ask: Ask) -> Iterator[Codes]:
    """The full model, each part removed, the bare model, each part added to it; what is the same comes once."""
    removed = list(cells(ask))
    added = [tuple(1 - code for code in codes) for codes in removed]
    yield from dict.fromkeys([*removed, *added])


def _check_parts(ask: Ask, name: str, meaning: str) -> None:
    for factor in ask.factors:
        if len(factor.levels) != 2:
            labels = ", ".join(level.label for level in factor.levels)
            raise factor.at.error(
                f"has {len(factor.levels)} levels ({labels}), but in {name} {meaning}; keep one level besides the "
                "baseline's, make one factor per part, or take design: one_factor"
            )


def count_one(ask: Ask) -> int:
    return 1


def only_baseline(ask: Ask) -> Iterator[Codes]:
    """What a search has before it begins."""
    yield (0,) * len(ask.factors)
