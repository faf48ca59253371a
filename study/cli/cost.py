"""How `plan --measure` shows the cost of a plan."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console

from study.analysis.stats.forecast import Spread
from study.analysis.stats.power import detectable_effect
from study.cli.cell_table import cell_table
from study.planning.cost import Forecast, safe_gpu_share
from study.utils.escape import terminal as escape
from study.utils.text import clock_time, plural, points

if TYPE_CHECKING:
    from study.vit.runner import Pace

UNITS = (("G", 2**30), ("M", 2**20))


def show(forecast: Forecast, spread: Spread | None, console: Console) -> None:
    """Print the cost. `spread`: standard deviation of paired differences so far, None if unknown."""
    gpu_bytes = forecast.machine.gpu_bytes
    names = ("one trial", "memory", *(["GPU share"] if gpu_bytes else []))
    rows = []
    for cell, paces, seconds in forecast.cells():
        peak = _peak(paces) or 0
        share = [f"{safe_gpu_share(peak, gpu_bytes):.2f}"] if gpu_bytes else []
        rows.append([escape(cell.name), _duration(seconds), _bytes(peak), *share])
    console.print()
    if rows:
        console.print(cell_table(console, names, rows, leave_out=names[:0:-1]))
    for sentence in sentences(forecast, spread):
        console.print(escape(sentence), highlight=False)


def sentences(forecast: Forecast, spread: Spread | None) -> Iterator[str]:
    """The total time, and the smallest difference that the replicates can detect."""
    machine, missing = forecast.machine, len(forecast.plan.missing)
    if missing:
        where = f"{machine.slots:g} at a time" + (f", {forecast.gpu_hours:.2g} GPU-hours" if machine.gpu_share else "")
        yield (
            f"{plural(missing, 'stage')} will take about {_duration(forecast.wall_seconds)} ({where}; "
            f"{_duration(forecast.compute_seconds)} sequentially), measured on "
            f"{plural(len(forecast.paces), 'shape')}; excluding Ray's start and the report"
        )
    yield detectable(forecast.plan.study.grid.most_replicates, spread)


def detectable(replicates: int, spread: Spread | None) -> str:
    """The smallest difference from the baseline that the replicates detect with 80% power at alpha = 0.05."""
    if replicates < 2:
        return "one replicate cannot detect any difference; at least two are needed"
    effect = detectable_effect(replicates, 1.0)
    text = f"{replicates} replicates: 80% power if a cell's true difference from the baseline is at least"  # never one
    if spread is None:
        return f"{text} {effect:.2g} SD; the SD can be estimated after two replicates"
    low, sd, high = (points(end, 2) for end in spread.ends)
    if effect * spread.low >= 1:
        return f"{replicates} replicates: less than 80% power for any difference of accuracies (SD {sd})"  # never one
    most = points(effect * spread.high, 2) if effect * spread.high < 1 else "more than accuracies can differ"
    return f"{text} {points(effect * spread.low, 2)} to {most} (SD {sd}, 80% interval {low} to {high})"


def as_json(forecast: Forecast, spread: Spread | None) -> dict[str, Any]:
    """The cost as JSON."""
    gpu = forecast.machine.gpu_bytes
    replicates = forecast.plan.study.grid.most_replicates
    sds = (spread.sd, spread.low, spread.high) if spread else ()
    effects = [found if (found := detectable_effect(replicates, sd)) < 1 else None for sd in sds]
    return {
        "device": forecast.machine.device,
        "slots": forecast.machine.slots,
        "wall_seconds": forecast.wall_seconds if forecast.plan.missing else 0.0,
        "compute_seconds": forecast.compute_seconds,
        "gpu_hours": forecast.gpu_hours,
        "spread": spread and spread.sd,
        "spread_interval": spread and [spread.low, spread.high],
        "detectable_difference": effects[0] if effects else None,
        "detectable_difference_interval": effects[1:] or None,
        "cells": [
            {"cell": cell.name, "seconds": seconds, "peak_bytes": (peak := _peak(paces)),
             "gpu_share": safe_gpu_share(peak, gpu) if gpu and peak else None}
            for cell, paces, seconds in forecast.cells()
        ],
    }  # fmt: skip


def _peak(paces: "list[Pace]") -> int | None:
    return max((pace.peak_bytes for pace in paces if pace.peak_bytes is not None), default=None)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock_time(seconds)


def _bytes(number: int) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if number >= size), UNITS[-1])
    return f"{number / size:.1f} {unit}iB" if number else "?"
