"""The functions that the notebook's cells call: each displays one table, figure or list of findings."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.failures import attempt
from study.design.yaml_file import did_you_mean
from study.report import summary
from study.report.plots import PLOTS
from study.report.plots.plot import Plot
from study.report.plots.style import DPI, SCREEN_DPI, style
from study.report.tables import TABLES
from study.utils import escape
from study.utils.csv_cells import csv_text
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = Path("figures")
COLOURS = 40  # of the embedded image: anti-aliased lines in a few colours
NO_METADATA: Mapping[str, dict[str, None]] = {  # dates and versions, so that equal numbers give equal files
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class Shown:
    """Something that a notebook displays: MIME type -> content, and metadata.

    `metadata["study"]["failure"]` is the sentence shown in place of something that could not be computed.
    """

    forms: dict[str, str]
    metadata: dict[str, dict[str, object]] = field(default_factory=dict)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict[str, object]]]:
        return self.forms, self.metadata


def answers(analysis: Analysis) -> Shown:
    """The findings in plain sentences."""
    found = summary.answers(analysis)
    items = [f"<li><b>{escape.html(answer.about)}:</b> {escape.html(answer.text)}</li>" for answer in found]
    text = "\n".join(f"- {escape.line(str(answer))}" for answer in found)
    return Shown({"text/html": "<ul>\n" + "\n".join(items) + "\n</ul>", "text/plain": text})


def table(analysis: Analysis, name: str) -> Shown:
    """One of `TABLES`; a sentence if it cannot be computed. Raises StudyError for an unknown name."""
    if name not in TABLES:
        raise StudyError(f"table {name!r} not found; {did_you_mean(name, TABLES)}")
    failures: list[str] = []
    made = attempt(failures, f"The table '{name}' could not be computed", TABLES[name].table, analysis)
    if made is None:
        return failure(failures[0])
    made = made.first()
    return Shown({"text/html": made.html(), "text/plain": made.plain()})


def figure(analysis: Analysis, name: str, folder: Path | str = FIGURES) -> Shown:
    """One of `PLOTS`; a sentence if it cannot be drawn. Also written to the folder, as NAME.png, .svg, .pdf and .csv.

    Raises StudyError for an unknown name, and for a study without such results.
    """
    if name not in PLOTS:
        raise StudyError(f"figure {name!r} not found; {did_you_mean(name, PLOTS)}")
    failures: list[str] = []
    what = f"The figure '{name}' could not be drawn"
    numbers = attempt(failures, what, PLOTS[name].compute, analysis)
    if numbers is None:
        return failure(failures[0])
    if numbers.empty:
        raise StudyError(f"figure {name!r} is empty: the study has no such results")
    drawn = attempt(failures, what, _draw, PLOTS[name], numbers)
    files = {"csv": csv_text(numbers).encode("utf-8", "backslashreplace"), **(drawn.files if drawn else {})}
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for suffix, data in files.items():
        (folder / f"{name}.{suffix}").write_bytes(data)
    if drawn is None:
        return failure(failures[0])
    alt = f"{PLOTS[name].title}; numbers in {folder.name}/{name}.csv"
    return Shown(
        {"image/png": base64.b64encode(drawn.embedded).decode(), "text/plain": alt},
        {"image/png": {"width": drawn.width, "alt": alt}},
    )


def failure(sentence: str) -> Shown:
    """The sentence shown in place of something that could not be computed."""
    return Shown(
        {"text/html": f"<p>{escape.html(sentence)}</p>", "text/plain": escape.line(sentence)},
        {"study": {"failure": escape.line(sentence)}},
    )


@dataclass(frozen=True)
class _Drawn:
    files: dict[str, bytes]  # by suffix
    embedded: bytes  # PNG
    width: int  # pixels on screen


def _draw(plot: Plot, numbers: pd.DataFrame) -> _Drawn:
    with style():
        drawn = plot.draw(numbers)
        files = {kind: _saved(drawn, kind, DPI) for kind in NO_METADATA}
        return _Drawn(files, _small(_saved(drawn, "png", SCREEN_DPI)), round(drawn.get_figwidth() * 100))


def _saved(drawn: "Figure", kind: str, dpi: float) -> bytes:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format=kind, dpi=dpi, metadata=NO_METADATA[kind])
    return buffer.getvalue()


def _small(png: bytes) -> bytes:
    """The image with a palette: a third of the bytes, at no visible loss."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
