"""The style of all figures: one font, few colours that also differ in greyscale, names printed literally.

matplotlib is imported only for drawing, so that numbers can be computed without it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from study.utils import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# from Okabe and Ito's palette (https://jfly.uni-koeln.de/color/): the colours that differ most in lightness
BLUE, ORANGE, VERMILLION, BLACK, GREY, LIGHT = "#0072B2", "#E69F00", "#D55E00", "#1A1A1A", "#6E6E6E", "#C9C9C9"

WIDTH = 7.2  # inches: two columns of a journal
SIZE, SMALL = 8.0, 7.0  # points
DPI = 200  # of the PNG files
SCREEN_DPI = 120  # of the images embedded in notebook and page: sharp on most screens

_SETTINGS: dict[Any, Any] = {
    "text.parse_math": False,  # a level named $x_1$ is text
    "text.usetex": False,
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": GREY,
    "axes.labelcolor": BLACK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType, which journals require
    "svg.hashsalt": "study",  # reproducible files
    "path.simplify": False,
}
# matplotlib includes DejaVu Sans; the others, if installed, have scripts that it lacks
_FALLBACKS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Hiragino Sans", "PingFang SC", "Noto Sans")


@contextmanager
def style() -> Iterator[None]:
    """The context for drawing and saving figures; overrides the user's matplotlibrc."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it logs about its font cache
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "font.family": list(_families())})
        yield


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def drawable(text: str) -> str:
    """The text on one line; characters that no installed font has are replaced."""
    return "".join(c if c.isascii() or _has_glyph(c) else "\N{REPLACEMENT CHARACTER}" for c in escape.line(text))


def wrapped(text: str, inches: float, lines: int, size: float = SIZE) -> str:
    """A name wrapped to at most `lines` lines of that width; longer text is cut with an ellipsis."""
    rows: list[str] = []
    for word in _words(drawable(text), inches, size):
        longer = f"{rows[-1]} {word.text}" if rows and word.after_space else f"{rows[-1] if rows else ''}{word.text}"
        if rows and _width(longer, size) <= inches:
            rows[-1] = longer
        else:
            rows.append(word.text)
    if len(rows) > lines:
        rows = [*rows[: lines - 1], _shortened(rows[lines - 1], inches, size)]
    return "\n".join(rows)


@dataclass(frozen=True)
class _Word:
    text: str
    after_space: bool


def _words(text: str, inches: float, size: float) -> Iterator[_Word]:
    """The words of a line; words wider than the line are split."""
    for word in text.split(" "):
        after_space, rest = True, word
        while _width(rest, size) > inches and len(rest) > 1:
            fitting = max(1, next(n for n in range(len(rest), 0, -1) if n == 1 or _width(rest[:n], size) <= inches))
            yield _Word(rest[:fitting], after_space)
            after_space, rest = False, rest[fitting:]
        yield _Word(rest, after_space)


def _shortened(row: str, inches: float, size: float) -> str:
    while row and _width(f"{row} …", size) > inches:
        row = row[:-1]
    return f"{row.rstrip()} …"


def light_grid(axes: "Axes", axis: str) -> None:
    """Thin lines behind the data."""
    axes.set_axisbelow(True)
    axes.grid(True, axis=axis, color="#E6E6E6", linewidth=0.5)  # type: ignore[arg-type]  # x, y or both


@cache
def _families() -> tuple[str, ...]:
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in _FALLBACKS if name in installed))


@cache
def _width(text: str, size: float) -> float:
    """The width of a text in inches."""
    return sum(_advance(character) for character in text) * size / 72


@cache
def _advance(character: str) -> float:
    """The width of a character in units of the font size, without kerning."""
    from matplotlib import font_manager

    for font in (font_manager.get_font(font_manager.findfont(name)) for name in _families()):
        if font.get_char_index(ord(character)):
            font.set_size(100, 72)
            return float(font.load_char(ord(character)).linearHoriAdvance) / 65536 / 100
    return 1.0


@cache
def _has_glyph(character: str) -> bool:
    from matplotlib import font_manager

    fonts = (font_manager.get_font(font_manager.findfont(name)) for name in _families())
    return any(font.get_char_index(ord(character)) for font in fonts)
