"""Calibration of the statistics: how often their statements about simulated studies of known truth are right.

    python -m study.analysis.stats.calibrate --out reports/calibration

writes `calibration.csv` and `calibration.md`, and exits with 1 if any line is out of bounds. Every line has its own
seed, so the same seed and number of studies give the same table, and lines can be appended.
"""

import argparse
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from study.analysis.stats import (
    calibrate_after_results,
    calibrate_data_sets,
    calibrate_failures,
    calibrate_families,
    calibrate_fits,
    calibrate_items,
    calibrate_reports,
    calibrate_resampling,
    calibrate_shape,
)
from study.analysis.stats.bootstrap import bootstrap_interval
from study.analysis.stats.effects import estimate
from study.analysis.stats.intervals import Difference, Floats, Interval, interval, paired_difference
from study.analysis.stats.power import inside_power, needed_replicates, paired_power
from study.analysis.stats.question import INFINITY, Question
from study.analysis.stats.scenarios import against_baseline, any_false, claim, replicates, spec
from study.analysis.stats.sequential import look_schedule, look_shares
from study.analysis.stats.simulate import (
    SUPPORTED,
    Noise,
    Scenario,
    as_results,
    heavy,
    judge_all,
    normal,
    skewed,
)
from study.design.comparison import Factors, Labels

CHUNK = 5_000  # studies drawn at once, to bound memory


@dataclass(frozen=True)
class Answer:
    """A share of studies with its Monte Carlo standard error. `ok`: within the bounds, up to 3 standard errors."""

    measure: str
    setting: str
    studies: int
    measured: float
    error: float
    low: float
    high: float
    ok: bool


def calibrate(studies: int = 20_000, seed: int = 0) -> pd.DataFrame:
    """Measure every question on this number of simulated studies (slow ones on fewer); one row per Answer."""
    answers = [_answer(question, studies, seed, i) for i, question in enumerate(questions())]
    return pd.DataFrame([asdict(answer) for answer in answers])


def questions() -> Iterator[Question]:
    """All questions, in the order of the table."""
    yield from _coverage()
    yield from _errors()
    yield from _power()
    yield from calibrate_fits.questions()
    yield from calibrate_resampling.questions()
    yield from calibrate_items.questions()
    yield from calibrate_data_sets.questions()
    yield from calibrate_families.questions()
    yield from calibrate_reports.questions()
    yield from calibrate_after_results.questions()
    yield from calibrate_failures.questions()
    yield from calibrate_shape.questions()


def _answer(question: Question, studies: int, seed: int, index: int) -> Answer:
    rng, left = np.random.default_rng([seed, index]), max(studies // question.share, 1)
    parts = [question.hits(min(CHUNK, left - done), rng) for done in range(0, left, CHUNK)]
    hits = np.concatenate(parts)
    spread = np.append(hits, (0.0, 1.0)).std()  # one miss and one hit added: never 0, even for few studies
    error = float(spread) / math.sqrt(len(hits))
    measured, slack = float(hits.mean()), 3 * error
    ok = question.low - slack <= measured <= question.high + slack
    return Answer(question.measure, question.setting, left, measured, error, question.low, question.high, ok)


# Coverage: how often a 95% interval contains the true value.


def _coverage() -> Iterator[Question]:
    noises: dict[str, Noise] = {"normal": normal, "skewed": skewed, "heavy-tailed": heavy}
    for n, (name, noise) in itertools.product((3, 5, 10), noises.items()):
        bounds = {"normal": (0.93, 0.97), "skewed": (0.925, 0.945)}.get(name, (-INFINITY, INFINITY))
        yield Question("t interval of a mean covers", f"n = {n}, {name}", 1, partial(_mean_covered, n, noise), *bounds)
    for n in (3, 5, 10):
        hits = partial(_difference_covered, n)
        yield Question("t interval of a paired difference covers", f"n = {n}, spread x 4", 1, hits, 0.93, 0.97)
    for n in (3, 5):
        setting = f"3 x 2 factorial, 1 cell excluded, n = {n}"
        yield Question("interval of a main effect covers", setting, 50, partial(_effect_covered, n), 0.93, 0.97)
    for n in (3, 5, 10, 20):
        yield Question("bootstrap interval of a mean covers", f"n = {n}, normal", 20, partial(_bootstrap_covered, n))


def _mean_covered(n: int, noise: Noise, studies: int, rng: np.random.Generator) -> Floats:
    return np.array([_holds(interval(values), 0.0) for values in noise(rng, (studies, n))])


def _difference_covered(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """Two cells with a shared seed effect, one with four times the SD of the other; the true difference is 1."""
    shared, noise = 2 * rng.standard_normal((studies, n)), rng.standard_normal((2, studies, n))
    pairs = zip(shared + 4 * noise[0] + 1, shared + noise[1], strict=True)
    return np.array([_holds(paired_difference(dict(enumerate(x)), dict(enumerate(y))), 1.0) for x, y in pairs])


def _effect_covered(n: int, studies: int, rng: np.random.Generator) -> Floats:
    """The share of a study's main effects whose interval contains the true value."""
    factors = {"a": ["0", "1", "2"], "b": ["0", "1"]}
    means: dict[Labels, float] = {
        (a, b): float(int(a) + 2 * int(b)) for a, b in itertools.product(*factors.values()) if a + b != "21"
    }
    scenario = Scenario("", factors, means, (), n, n)
    return np.array([_effects_hold(as_results(scenario, values), factors) for values in scenario.draw(studies, rng)])


def _effects_hold(data: pd.DataFrame, factors: Factors) -> float:
    found = estimate(data, factors).effects.dropna(subset=["difference"])
    truth = found["level"].astype(float) * found["factor"].map({"a": 1.0, "b": 2.0})
    return float(((found["difference_low"] <= truth) & (truth <= found["difference_high"])).mean())


def _bootstrap_covered(n: int, studies: int, rng: np.random.Generator) -> Floats:
    intervals = (bootstrap_interval(values, resamples=999) for values in rng.standard_normal((studies, n)))
    return np.array([float(low <= 0 <= high) for low, high in intervals])


def _holds(found: Interval | Difference, truth: float) -> float:
    return float(found.low <= truth <= found.high)


# Errors: how often any verdict of a study is false, supported or refuted.


def _errors() -> Iterator[Question]:
    for least, most in ((3, 3), (5, 5), (3, 10), (5, 20)):
        for scenario in scenarios(least, most):
            setting = f"{scenario.name}; {replicates(scenario)}"
            yield Question("a study has a false verdict", setting, 1, partial(any_false, scenario), high=0.05)


def scenarios(least: int, most: int) -> Iterator[Scenario]:
    """The true states with the highest error rates: no effect where one is claimed, differences at the margin."""
    make = partial(against_baseline, least=least, most=most)
    none = [claim("greater", i) for i in range(1, 8)]
    yield make("1 claim, no effect", [0.0], none[:1])
    yield make("7 claims, no effects", [0.0] * 7, none)
    yield make("7 claims, no effects, unequal spread", [0.0] * 7, none, sd=(1.0, *np.geomspace(0.25, 4, 7)))
    yield make("7 claims, no effects, skewed", [0.0] * 7, none, noise=skewed)
    yield make("7 claims, no effects, heavy tails", [0.0] * 7, none, noise=heavy)
    yield make("7 claims, no effects, 451 test images", [0.0] * 7, none, sd=0.01, shared_sd=0.01, step=1 / 451)
    yield make("7 claims, 4 large effects", [30.0, -30.0, 30.0, 30.0, 0.0, 0.0, 0.0], none)
    margins = [
        *(claim(kind, i, margin=1.0) for i, kind in enumerate(("equivalent", "non_inferior", "greater", "less"), 1)),
        *(claim("equivalent", i, margin=1.0) for i in (5, 6, 7)),
    ]
    yield make("7 claims, differences at the margins", [1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0], margins)
    yield _crossed(least, most)


def _crossed(least: int, most: int) -> Scenario:
    """Two factors without any effect; claims of main effects and of an interaction."""
    factors = {"a": ["0", "1"], "b": ["0", "1"]}
    means = dict.fromkeys(itertools.product(*factors.values()), 0.0)
    claims = (
        spec(kind="greater", cells={"a": "1"}),
        spec(kind="less", cells={"b": "1"}),
        spec(kind="interaction", cells={"a": "1", "b": "1"}),
        spec(kind="greater", cells={"a": "1", "b": "1"}),
    )
    return Scenario("2 x 2 factorial, 4 claims, no effects", factors, means, claims, least, most)


# Power: how often a true claim is supported, compared with the forecast of `power`. Differences have SD 1.


def _power() -> Iterator[Question]:
    for n, effect in ((3, 3.0), (5, 1.5), (10, 1.0), (needed_replicates(0.5, 0.6) or 0, 0.5 / 0.6)):
        forecast = paired_power(n, effect, 1.0)
        yield _support("greater", n, n, effect, (forecast - 0.01, forecast + 0.01))
    for n, margin in ((5, 2.0), (10, 1.0)):
        forecast = inside_power(n, 0.0, 1.0, -margin, margin)
        yield _support("equivalent", n, n, 0.0, (forecast - 0.01, forecast + 0.01), margin)
        forecast = inside_power(n, 0.0, 1.0, -margin, INFINITY)
        yield _support("non_inferior", n, n, 0.0, (forecast - 0.01, forecast + 0.01), margin)
    for least, most, effect in ((3, 10, 1.0), (3, 10, 1.5), (5, 20, 0.8)):
        last = look_shares(look_schedule(least, most))[-1]
        bounds = paired_power(most, effect, 1.0, 0.05 * last), paired_power(most, effect, 1.0)
        yield _support("greater", least, most, effect, bounds)


def _support(
    kind: str, least: int, most: int, effect: float, bounds: tuple[float, float], margin: float | None = None
) -> Question:
    scenario = against_baseline(kind, [effect], [claim(kind, 1, margin=margin)], least, most, sd=math.sqrt(0.5))
    margins = f", margin {margin:g}" if margin else ""
    setting = f"{kind}, true difference {effect:.3g} sd{margins}; {replicates(scenario)}"
    return Question("a true claim is supported", setting, 1, partial(_supported, scenario), *bounds)


def _supported(scenario: Scenario, studies: int, rng: np.random.Generator) -> Floats:
    judged = judge_all(scenario, scenario.draw(studies, rng))
    return np.asarray(judged.verdicts_SM[:, 0] == SUPPORTED, dtype=np.float64)


# The table.


def markdown(table: pd.DataFrame, seed: int) -> str:
    """The table as Markdown, percentages with their Monte Carlo standard errors."""
    lines = [
        "# Calibration",
        "",
        "How often statements about simulated studies of known truth were right. Written by",
        f"`nox -s calibrate` with seed {seed}. The error is the Monte Carlo standard error of the",
        "measured share; a line is ok if it is within its bounds, up to three standard errors. Lines without bounds",
        "are for information only.",
        "",
        "| measure | setting | studies | measured | bounds | ok |",
        "|---|---|--:|--:|--:|---|",
    ]
    lines += [
        _line(Answer(**{str(name): value for name, value in row.items()})) for row in table.to_dict(orient="records")
    ]
    return "\n".join(lines) + "\n"


def _line(answer: Answer) -> str:
    measured = f"{100 * answer.measured:.2f} ± {100 * answer.error:.2f} %"
    ok = "" if _bounds(answer) == "" else ("yes" if answer.ok else "**no**")
    return f"| {answer.measure} | {answer.setting} | {answer.studies:,} | {measured} | {_bounds(answer)} | {ok} |"


def _bounds(answer: Answer) -> str:
    if math.isfinite(answer.low):
        return f"{100 * answer.low:.1f} to {100 * answer.high:.1f} %"
    return f"at most {100 * answer.high:g} %" if math.isfinite(answer.high) else ""


def write(table: pd.DataFrame, folder: Path, seed: int) -> None:
    """Write `calibration.csv` and `calibration.md`; creates the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "calibration.csv", index=False)
    (folder / "calibration.md").write_text(markdown(table, seed), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m study.analysis.stats.calibrate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--studies", type=int, default=20_000, help="simulated studies per line (fewer for slow lines)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder for calibration.csv and calibration.md")
    options = parser.parse_args(arguments)
    if options.studies < 1:
        parser.error(f"invalid value --studies {options.studies}: must be 1 or more")
    table = calibrate(options.studies, options.seed)
    write(table, options.out, options.seed)
    print(markdown(table, options.seed))
    return 0 if table["ok"].all() else 1


if __name__ == "__main__":
    sys.exit(main())
