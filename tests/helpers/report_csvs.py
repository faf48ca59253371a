"""The CSV files and the grid of a report, without drawing figures and without running its notebook."""

from importlib import import_module
from pathlib import Path

from study.report import Results, analyse
from study.report.plots import PLOTS

build = import_module("study.report.build")  # `study.report.build` is the function


def write_csvs(results: Results, folder: Path) -> Path:
    """Write them to the folder, which is returned."""
    analysis, warnings = analyse(results), list[str]()
    (folder / "figures").mkdir(parents=True)
    for name, frame in results.tables().items():
        build._write_csv(frame, folder / name)
    build._write_analyses(analysis, folder, warnings)
    for name, plot in PLOTS.items():
        if len(frame := plot.compute(analysis)):
            build._write_csv(frame, folder / "figures" / f"{name}.csv")
    (folder / build.GRID_FILE).write_text(results.grid, encoding="utf-8")
    if results.predictions:
        (folder / build.PREDICTIONS_FILE).write_bytes(build.encode(results.predictions))
    assert warnings == []
    return folder
