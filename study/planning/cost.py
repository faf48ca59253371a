"""The cost of a plan: time, GPU-hours, memory, and the share of a GPU that a trial needs.

Computed from a few measured steps of each distinct shape (`study.vit.runner.measure`).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.stats.forecast import Spread
from study.design.resources import Resources
from study.design.stages import Stage
from study.design.study import Cell
from study.planning.plan import Plan
from study.utils.cpus import usable_cpus

if TYPE_CHECKING:
    from study.vit.runner import Pace

GPU_CONTEXT = 600 * 2**20  # bytes of a process's CUDA context and libraries, on top of its tensors (own choice)
GPU_MARGIN = 1.15  # factor on the measured peak: longer runs fragment memory (own choice)
STEP = 0.05  # GPU fractions are rounded up to a multiple of it


@dataclass(frozen=True)
class Machine:
    """The machine that the sweep will run on: this one."""

    device: str  # cpu or cuda
    slots: float  # trials at once
    gpu_bytes: int | None  # memory of one GPU; None without GPUs
    gpu_share: float  # of a GPU that a trial requests; 0 without GPUs


def shapes(plan: Plan) -> dict[str, Stage]:
    """One missing stage of each distinct shape."""
    found: dict[str, Stage] = {}
    for stage in plan.missing:
        found.setdefault(stage.settings.shape, stage)
    return found


@dataclass(frozen=True)
class Forecast:
    """The time that the missing stages of a plan will take."""

    plan: Plan
    machine: Machine
    paces: Mapping[str, "Pace"]  # by shape

    def seconds(self, stage: Stage) -> float:
        return self.paces[stage.settings.shape].seconds(stage.epochs)

    @property
    def compute_seconds(self) -> float:
        """Of all missing stages, run sequentially."""
        return sum(self.seconds(stage) for stage in self.plan.missing)

    @property
    def wall_seconds(self) -> float:
        """A lower bound of any schedule: the longest chain of stages, or all work shared evenly among the slots."""
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
        """Each cell with missing stages: the paces of those stages, and the seconds of one of its trials."""
        missing = {stage.key for stage in self.plan.missing}
        seen: set[str] = set()
        for trial in self.plan.trials:
            *_, last = own = self.plan.state.stages_of(trial)
            if last.key in missing and trial.cell.name not in seen:
                seen.add(trial.cell.name)
                own = [stage for stage in own if stage.key in missing]
                yield trial.cell, [self.paces[stage.settings.shape] for stage in own], sum(map(self.seconds, own))


def make_forecast(plan: Plan, on_shape: Callable[[int, int], None] = lambda done, of: None) -> Forecast:
    """Measure every distinct shape on this machine, a few seconds each.

    `on_shape` is called before each one with its index and the number of shapes. Raises StudyError for missing data.
    """
    import torch

    from study.vit.runner import measure

    resources, distinct = plan.study.grid.resources, shapes(plan)
    torch.set_num_threads(max(1, int(resources.cpu)))
    here = machine(resources)
    paces = {}
    for i, (name, stage) in enumerate(distinct.items()):
        on_shape(i, len(distinct))
        if i == 0:  # warm-up: the first steps of a process are slower
            measure(stage.settings, here.device, budget=0.0)
        paces[name] = measure(stage.settings, here.device)
    return Forecast(plan, here, paces)


def machine(resources: Resources) -> Machine:
    """This machine, for trials that need these resources."""
    import torch

    by_cpu = usable_cpus() / resources.cpu
    gpus = torch.cuda.device_count()
    share = resources.gpu if resources.gpu is not None else float(gpus > 0)
    if not share or not gpus:
        return Machine("cpu", max(1.0, by_cpu // 1), None, 0.0)
    slots = min(by_cpu // 1, gpus * (1 // share) if share < 1 else gpus // share)
    return Machine("cuda", max(1.0, slots), torch.cuda.get_device_properties(0).total_memory, share)


def difference_spread(trials: pd.DataFrame, baseline: str) -> Spread | None:
    """Standard deviation of paired differences from the baseline, pooled over cells; None below two pairs.

    The cells share the baseline, so their differences are not independent. The degrees of freedom are those of one
    cell, which makes the interval wide rather than too narrow.
    """
    wide = trials.dropna(subset=["test_accuracy"]).pivot(index="replicate", columns="cell", values="test_accuracy")
    if baseline not in wide:
        return None
    others = wide.drop(columns=baseline).sub(wide[baseline], axis=0)
    squares, freedom = ((others - others.mean()) ** 2).sum(), others.count() - 1
    freedom = freedom[freedom > 0]
    pooled = float(squares[freedom.index].sum() / freedom.sum()) if len(freedom) else 0.0
    return Spread.of(math.sqrt(pooled), float(freedom.max()), 1.0) if pooled > 0 else None


def safe_gpu_share(peak_bytes: int, gpu_bytes: int) -> float:
    """The share of a GPU that a trial should request, so that the trials that Ray places on one GPU fit its memory.

    Above 1: a trial does not fit on the GPU.
    """
    share = (peak_bytes * GPU_MARGIN + GPU_CONTEXT) / gpu_bytes
    return math.ceil(share / STEP - 1e-9) * STEP
