"""Simulated studies with cells that are compared with a baseline, for the calibration."""

from collections.abc import Sequence

import numpy as np

from study.analysis.stats.sequential import look_schedule
from study.analysis.stats.simulate import Floats, Noise, Scenario, false_verdicts, judge_all, normal
from study.design.claims import ClaimSpec
from study.design.comparison import Labels


def against_baseline(
    name: str,
    effects: Sequence[float],
    claims: Sequence[ClaimSpec],
    least: int,
    most: int,
    *,
    sd: float | tuple[float, ...] = 1.0,
    shared_sd: float = 1.0,
    noise: Noise = normal,
    step: float = 0.0,
) -> Scenario:
    """A baseline and one cell per effect; `claims` compare cells with the shared baseline."""
    labels = [str(i) for i in range(len(effects) + 1)]
    means: dict[Labels, float] = {(label,): mean for label, mean in zip(labels, [0.0, *effects], strict=True)}
    return Scenario(name, {"x": labels}, means, tuple(claims), least, most, sd, shared_sd, noise, step)


def claim(kind: str, level: int, **keys: object) -> ClaimSpec:
    """A claim on a cell of `against_baseline`, counted from 1."""
    return spec(kind=kind, cells={"x": str(level)}, **keys)


def spec(**keys: object) -> ClaimSpec:
    """A claim on the metric of simulated studies."""
    return ClaimSpec.model_validate({"claim": "simulated", "metric": "value"} | keys)


def replicates(scenario: Scenario) -> str:
    """The numbers of replicates at which claims are judged, in words."""
    schedule = look_schedule(scenario.least, scenario.most)
    return f"looks at {', '.join(map(str, schedule))}" if len(schedule) > 1 else f"n = {scenario.most}"


def any_false(scenario: Scenario, studies: int, rng: np.random.Generator) -> Floats:
    """(studies,) 1 for a study with a false verdict, else 0."""
    judged = judge_all(scenario, scenario.draw(studies, rng))
    return np.asarray(false_verdicts(scenario, judged.verdicts_SM).any(axis=1), dtype=np.float64)
