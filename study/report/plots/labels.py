"""Names beside points, placed so that nothing overlaps."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.report.plots.style import BLACK, GREY, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Pair = tuple[float, float]

GAPS = (6.0, 10.0, 16.0, 24.0, 34.0, 46.0, 60.0, 80.0, 100.0)  # pixels at 100 dpi between a point and its name
NEAR = 14.0  # a name further away is connected to its point by a line
UNCLEAR = 40.0  # pixels of extra distance accepted for a name that is nearest to its own mark


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    @classmethod
    def around(cls, centre: Pair, half: float) -> "Box":
        return cls(centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half)

    def overlaps(self, other: "Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, other: "Box") -> bool:
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )

    def distance(self, other: "Box") -> float:
        across = max(self.left - other.right, other.left - self.right, 0.0)
        along = max(self.bottom - other.top, other.bottom - self.top, 0.0)
        return math.hypot(across, along)


@dataclass(frozen=True)
class Mark:
    """Something to be named: the position of its dot, and the boxes that must stay visible (dot and whisker)."""

    at: Pair
    boxes: Sequence[Box]


def mark(axes: "Axes", x: float, y: float, low: float, high: float) -> Mark:
    """A dot and its whisker, if it has one, in data coordinates."""
    (across, along), (_, bottom), (_, top) = axes.transData.transform([(x, y), (x, low), (x, high)])
    whisker = [Box(across - 1, bottom, across + 1, top)] if low <= high else []
    return Mark((across, along), [Box.around((across, along), 4), *whisker])


def staircase(axes: "Axes", points: Sequence[Pair]) -> list[Box]:
    """The steps from point to point, in data coordinates: first horizontal, then vertical."""
    corners = [tuple(corner) for corner in axes.transData.transform([*points])]
    boxes = []
    for (left, low), (right, high) in itertools.pairwise(corners):
        boxes += [Box(left, low - 1, right, low + 1), Box(right - 1, min(low, high), right + 1, max(low, high))]
    return boxes


def place(marks: Sequence[Mark], sizes: Sequence[Pair], lines: Sequence[Box], frame: Box) -> list[Box | None]:
    """A free box of the given size for each mark, None if there is none. Crowded marks are placed first.

    All in pixels. `lines` must stay visible too; names must stay within `frame`. A box nearest to its own mark is
    preferred to an ambiguous one, unless it is far away.
    """
    occupied = [*lines, *(box for mark in marks for box in mark.boxes)]
    placed: list[Box | None] = [None] * len(marks)
    for i in sorted(range(len(marks)), key=lambda i: -_crowd(marks[i], marks)):
        free = [
            box
            for box in _candidates(marks[i], sizes[i])
            if box.within(frame) and not any(box.overlaps(other) for other in occupied)
        ]
        if free:
            best = min(free, key=lambda box: _cost(box, i, marks))
            placed[i] = best
            occupied.append(best)
    return placed


def _cost(box: Box, own: int, marks: Sequence[Mark]) -> float:
    return box.distance(Box.around(marks[own].at, 0)) + (0 if _is_clear(box, own, marks) else UNCLEAR)


def annotate(axes: "Axes", marks: Sequence[Mark], names: Sequence[str], lines: Sequence[Box] = ()) -> bool:
    """Write names beside marks, with a thin line to those that are far away or nearer to another mark.

    Returns False and leaves the axes unchanged if some name has no free place.
    """
    texts = [axes.text(0, 0, name, fontsize=SMALL, color=BLACK, zorder=4, linespacing=1.0) for name in names]
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of the Agg canvas
    extents = [text.get_window_extent(renderer) for text in texts]
    frame = Box(*axes.get_window_extent(renderer).extents)
    boxes = place(marks, [(extent.width, extent.height) for extent in extents], lines, frame)
    if any(box is None for box in boxes):
        for text in texts:
            text.remove()
        return False
    back = axes.transData.inverted()
    for i, (text, found) in enumerate(zip(texts, boxes, strict=True)):
        assert found is not None
        text.set_position(tuple(back.transform((found.left, found.bottom))))
        text.set_verticalalignment("bottom")
        if min(found.distance(box) for box in marks[i].boxes) > NEAR or not _is_clear(found, i, marks):
            _connect(axes, marks[i].at, found)
    return True


def _connect(axes: "Axes", point: Pair, box: Box) -> None:
    end = (min(max(point[0], box.left), box.right), min(max(point[1], box.bottom), box.top))
    (x, stop_x), (y, stop_y) = axes.transData.inverted().transform([point, end]).T
    axes.plot([x, stop_x], [y, stop_y], color=GREY, linewidth=0.5, zorder=1.5)


def _is_clear(box: Box, own: int, marks: Sequence[Mark]) -> bool:
    """Whether a name is nearer to its own mark than to any other."""
    distances = [min(box.distance(other) for other in mark.boxes) for mark in marks]
    return all(distances[own] < distance for i, distance in enumerate(distances) if i != own)


def _candidates(mark: Mark, size: Pair) -> Iterator[Box]:
    """Boxes around a mark, near ones first: right, left, above, below; also at the ends of its whisker."""
    (x, y), (width, height) = mark.at, size
    for gap in GAPS:
        for dx, dy in ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 2), (1, -2), (-1, 2)):
            left = x + gap if dx > 0 else x - gap - width if dx < 0 else x - width / 2
            bottom = y - height / 2 + dy * (0.6 * gap if dx else gap + height / 2)
            yield Box(left, bottom, left + width, bottom + height)
    top, bottom = max(box.top for box in mark.boxes), min(box.bottom for box in mark.boxes)
    for start in (top + 4, bottom - height - 4):
        yield Box(x - width / 2, start, x + width / 2, start + height)


def _crowd(mark: Mark, marks: Sequence[Mark], within: float = 60.0) -> int:
    return sum(abs(mark.at[0] - other.at[0]) < within and abs(mark.at[1] - other.at[1]) < within for other in marks)
