"""What the notebook's cells call: each call shows one thing, computed from the results and drawn or written out."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from study.analysis.results import Results
from study.design.yaml_file import did_you_mean
from study.report import summary as findings
from study.report.plots import PLOTS
from study.report.plots.style import DPI, style
from study.report.tables import TABLES
from study.utils import escape
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = Path("figures")
SCREEN_DPI = 100  # at which a figure has its true size on a screen
UNDATED: Mapping[str, dict[str, None]] = {  # what a kind of file says of itself, but not of its numbers
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class Shown:
    """Something a notebook displays, in one form for each kind of viewer."""

    forms: dict[str, str]
    hints: dict[str, object] = field(default_factory=dict)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, object]]:
        return self.forms, self.hints


def answers(results: Results) -> Shown:
    """The findings in plain sentences."""
    found = findings.answers(results)
    items = [f"<li><b>{escape.html(answer.about)}:</b> {escape.html(answer.text)}</li>" for answer in found]
    text = "\n".join(f"- {escape.line(str(answer))}" for answer in found)
    return Shown({"text/html": "<ul>\n" + "\n".join(items) + "\n</ul>", "text/plain": text})


def table(results: Results, name: str) -> Shown:
    """One of `TABLES`."""
    if name not in TABLES:
        raise StudyError(f"no table {name!r}; {did_you_mean(name, TABLES)}")
    made = TABLES[name](results).first()
    return Shown({"text/html": made.html(), "text/plain": made.plain()})


def figure(results: Results, name: str, folder: Path | str = FIGURES) -> Shown:
    """One of `PLOTS`; also writes it to the folder, as NAME.png, .svg and .pdf, and its numbers as .csv."""
    if name not in PLOTS:
        raise StudyError(f"no figure {name!r}; {did_you_mean(name, PLOTS)}")
    plot = PLOTS[name]
    numbers = plot.compute(results)
    if numbers.empty:
        raise StudyError(f"figure {name!r} has nothing to show: this study has no such results")
    with style():
        drawn = plot.draw(numbers)
        forms = {kind: _saved(drawn, kind) for kind in UNDATED}
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for suffix, data in {**forms, "csv": numbers.to_csv(index=False).encode("utf-8", "backslashreplace")}.items():
        (folder / f"{name}.{suffix}").write_bytes(data)
    alt = f"{plot.title}; numbers in {folder.name}/{name}.csv"
    width = round(drawn.get_figwidth() * SCREEN_DPI)
    return Shown(
        {"image/png": base64.b64encode(forms["png"]).decode(), "text/plain": alt},
        {"image/png": {"width": width, "alt": alt}},
    )


def _saved(figure: "Figure", kind: str) -> bytes:
    """The figure as a file without dates or versions in it, so that equal numbers give equal files."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata=UNDATED[kind])
    return buffer.getvalue()
