"""What a plan will take: time, GPU-hours, memory, how much of a GPU is safe, and what its replicates can detect.

Measured on a few steps of each distinct shape (`study.vit.training.pace`); here is the arithmetic.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from study.analysis.stats.power import detectable_effect
from study.design.resources import Resources
from study.design.stages import Stage, stages_of
from study.design.study import Cell
from study.planning.plan import Plan
from study.utils.cpus import usable_cpus
from study.utils.text import clock_time, plural, points

if TYPE_CHECKING:
    from study.vit.runner import Pace

GPU_CONTEXT = 600 * 2**20  # bytes that a process's CUDA context and libraries take beside its tensors (own choice)
GPU_MARGIN = 1.15  # of what was measured: longer runs fragment memory (own choice)
STEP = 0.05  # GPU fractions are rounded up to it
UNITS = (("G", 2**30), ("M", 2**20))


@dataclass(frozen=True)
class Machine:
    """Where the sweep is to run: this machine, as far as it is seen from here."""

    device: str  # cpu or cuda
    slots: float  # trials at once
    gpu_bytes: int | None  # of one GPU; None without
    gpu_share: float  # of a GPU that a trial asks for; 0 without


def shapes(plan: Plan) -> dict[str, Stage]:
    """One stage of each distinct shape among those that are to be run."""
    found: dict[str, Stage] = {}
    for stage in plan.missing:
        found.setdefault(stage.settings.shape, stage)
    return found


@dataclass(frozen=True)
class Forecast:
    """What the missing stages of a plan will take."""

    plan: Plan
    machine: Machine
    paces: Mapping[str, "Pace"]  # by shape

    def seconds(self, stage: Stage) -> float:
        return self.paces[stage.settings.shape].seconds(stage.epochs)

    @property
    def compute_seconds(self) -> float:
        """Of all missing stages, one after the other."""
        return sum(self.seconds(stage) for stage in self.plan.missing)

    @property
    def wall_seconds(self) -> float:
        """No schedule is shorter than the longest chain, nor than all work shared evenly among the slots."""
        missing = {stage.key for stage in self.plan.missing}
        chains = (
            sum(self.seconds(part) for part in (stage.parent, stage) if part is not None and part.key in missing)
            for stage in self.plan.missing
        )
        return max([self.compute_seconds / self.machine.slots, *chains])

    @property
    def gpu_hours(self) -> float:
        return self.compute_seconds / 3600 * self.machine.gpu_share

    def cells(self) -> Iterator[tuple[Cell, "list[Pace]", float]]:
        """Each cell that has something to run: the paces of its stages, and the seconds of one of its trials."""
        missing = {stage.key for stage in self.plan.missing}
        seen: set[str] = set()
        for trial in self.plan.trials:
            *_, last = own = stages_of(trial)
            if last.key in missing and trial.cell.name not in seen:
                seen.add(trial.cell.name)
                own = [stage for stage in own if stage.key in missing]
                yield trial.cell, [self.paces[stage.settings.shape] for stage in own], sum(map(self.seconds, own))


def make_forecast(plan: Plan, on_shape: Callable[[int, int], None] = lambda done, of: None) -> Forecast:
    """Measure every distinct shape on this machine, a few seconds each; `on_shape` hears how many are done.

    Raises StudyError as training does, for data that cannot be had.
    """
    import torch

    from study.vit.runner import measure

    resources, distinct = plan.study.grid.resources, shapes(plan)
    torch.set_num_threads(max(1, int(resources.cpu)))
    here = machine(resources)
    paces = {}
    for i, (name, stage) in enumerate(distinct.items()):
        on_shape(i, len(distinct))
        if i == 0:  # what the first steps of a process wait for is no part of any shape's pace
            measure(stage.settings, here.device, budget=0.0)
        paces[name] = measure(stage.settings, here.device)
    return Forecast(plan, here, paces)


def machine(resources: Resources) -> Machine:
    """This machine, for trials that take these resources."""
    import torch

    by_cpu = usable_cpus() / resources.cpu
    gpus = torch.cuda.device_count()
    share = resources.gpu if resources.gpu is not None else float(gpus > 0)
    if not share or not gpus:
        return Machine("cpu", max(1.0, by_cpu // 1), None, 0.0)
    slots = min(by_cpu // 1, gpus * (1 // share) if share < 1 else gpus // share)
    return Machine("cuda", max(1.0, slots), torch.cuda.get_device_properties(0).total_memory, share)


def spread_of(trials: pd.DataFrame, baseline: str) -> float | None:
    """Standard deviation of paired differences from the baseline, pooled over cells; None below two pairs."""
    wide = trials.dropna(subset=["test_accuracy"]).pivot(index="replicate", columns="cell", values="test_accuracy")
    if baseline not in wide:
        return None
    others = wide.drop(columns=baseline).sub(wide[baseline], axis=0)
    squares, freedom = ((others - others.mean()) ** 2).sum(), others.count() - 1
    freedom = freedom[freedom > 0]
    pooled = float(squares[freedom.index].sum() / freedom.sum()) if len(freedom) else 0.0
    return math.sqrt(pooled) or None


def safe_gpu_share(peak_bytes: int, gpu_bytes: int) -> float:
    """The share of a GPU that a trial should ask for, so that as many as Ray then places on it fit its memory.

    Above 1 it does not fit at all.
    """
    share = (peak_bytes * GPU_MARGIN + GPU_CONTEXT) / gpu_bytes
    return math.ceil(share / STEP - 1e-9) * STEP


def show(forecast: Forecast, spread: float | None, console: Console) -> None:
    """The forecast for people. `spread`: standard deviation of paired differences so far, None where unknown."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    table.add_column("cell", overflow="fold", ratio=1)
    for name in ("one trial", "memory", *(["GPU share"] if forecast.machine.gpu_bytes else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for cell, paces, seconds in forecast.cells():
        peak = max((pace.peak_bytes or 0 for pace in paces), default=0)
        share = [f"{safe_gpu_share(peak, forecast.machine.gpu_bytes):.2f}"] if forecast.machine.gpu_bytes else []
        table.add_row(escape(cell.name), _duration(seconds), _bytes(peak), *share)
    console.print()
    if table.row_count:
        console.print(table)
    for sentence in sentences(forecast, spread):
        console.print(escape(sentence), highlight=False)


def sentences(forecast: Forecast, spread: float | None) -> Iterator[str]:
    """What it comes to, and what it can show."""
    machine, missing = forecast.machine, len(forecast.plan.missing)
    if missing:
        where = f"{machine.slots:g} at a time" + (f", {forecast.gpu_hours:.2g} GPU-hours" if machine.gpu_share else "")
        yield (
            f"{plural(missing, 'stage')} will take about {_duration(forecast.wall_seconds)} ({where}; "
            f"{_duration(forecast.compute_seconds)} one after the other), measured on "
            f"{plural(len(forecast.paces), 'shape')}; starting Ray and writing the report come on top"
        )
    yield detectable(forecast.plan.study.grid.most_replicates, spread)


def detectable(replicates: int, spread: float | None) -> str:
    """The smallest difference from the baseline that the replicates find four times in five, at the 5 % level."""
    if replicates < 2:
        return "one replicate cannot tell any difference from chance"
    effect = detectable_effect(replicates, 1.0)
    text = f"{replicates} replicates find a cell's difference from the baseline four times in five where it truly is"
    if spread is None:
        return f"{text} {effect:.2g} times its standard deviation; nothing is stored yet from which to tell that"
    return f"{text} {points(effect * spread, 2)}, at the standard deviation of {points(spread, 2)} seen so far"


def as_json(forecast: Forecast, spread: float | None) -> dict[str, Any]:
    """The forecast for programs."""
    gpu = forecast.machine.gpu_bytes
    replicates = forecast.plan.study.grid.most_replicates
    return {
        "device": forecast.machine.device,
        "slots": forecast.machine.slots,
        "wall_seconds": forecast.wall_seconds if forecast.plan.missing else 0.0,
        "compute_seconds": forecast.compute_seconds,
        "gpu_hours": forecast.gpu_hours,
        "spread": spread,
        "detectable_difference": detectable_effect(replicates, spread) if spread and replicates > 1 else None,
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
