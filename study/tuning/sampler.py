"""Suggests hyper-parameters with Optuna.

A round of suggestions is a function of the grid and of the rounds before it. The sampler is seeded for every trial from
named axes, and the Optuna study is rebuilt from the recorded trials. So a sweep that was killed, or whose record was
lost, arrives at the same suggestions, whose results are already stored. This does not hold with early stopping: which
trials are stopped, and what is suggested afterwards, depends on the order in which trials report.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from study.design.search_space import VAL_ACCURACY, Parameter, Values
from study.design.study import named_seed
from study.planning.tuning_state import Tuning, TuningTrial
from study.utils import json_text
from study.utils.canonical_json import canonical_json

POPULATION_SIZE = 10  # trials per generation of NSGA-II
NUM_STARTUP_TRIALS = 5  # random trials before TPE fits its model: a quarter of a usual budget
STATES = {
    "open": TrialState.RUNNING,
    "done": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "stopped": TrialState.PRUNED,
}

optuna.logging.set_verbosity(optuna.logging.WARNING)  # the progress display lists every trial


def suggest(tuning: Tuning) -> list[TuningTrial]:
    """The next open trials of a cell's tuning, `tuning.num_to_suggest` of them."""
    distributions = _distributions(tuning)
    study = optuna_study(tuning)
    first = len(tuning.trials) + 1
    return [
        _suggest_one(study, distributions, tuning, number) for number in range(first, first + tuning.num_to_suggest)
    ]


def optuna_study(tuning: Tuning) -> optuna.Study:
    """An in-memory Optuna study that holds the recorded trials of a tuning, in order."""
    distributions = _distributions(tuning)
    directions = ["maximize" if objective == VAL_ACCURACY else "minimize" for objective in tuning.space.objectives]
    study = optuna.create_study(directions=directions)  # type: ignore[arg-type]  # two of its literals
    for trial in tuning.trials:
        study.add_trial(_to_frozen_trial(trial, distributions, tuning.space.objectives))
    return study


def _suggest_one(
    study: optuna.Study, distributions: Mapping[str, BaseDistribution], tuning: Tuning, number: int
) -> TuningTrial:
    study.sampler = _sampler(named_seed(f"tuning={tuning.key}/trial={number}"), tuning.space.sampler)
    if tuning.warm and number == 1:
        first = {name: value for name, value in tuning.warm.items() if name in distributions}
        study.enqueue_trial({name: _to_optuna(distributions[name], value) for name, value in first.items()})
    trial = study.ask(dict(distributions))
    values = _values(trial.params, distributions)
    if (other := _untried(study, values, distributions, tuning, number)) is not None:
        study.tell(trial, state=TrialState.FAIL)
        study.enqueue_trial({name: _to_optuna(distributions[name], value) for name, value in other.items()})
        values = _values(study.ask(dict(distributions)).params, distributions)
    return TuningTrial(number, values, attributes=dict(study.trials[-1].system_attrs))


def _values(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    return {name: _from_optuna(distribution, params[name]) for name, distribution in distributions.items()}


def _untried(
    study: optuna.Study, values: Values, distributions: Mapping[str, BaseDistribution], tuning: Tuning, number: int
) -> Values | None:
    """Values to use instead of those that were tried before, drawn from the untried ones of a small space.

    None if `values` are new, or all others were tried too: a repetition would give the same result.
    """
    if not tuning.distinct:
        return None
    earlier = (t for t in study.trials[:-1] if t.state != TrialState.FAIL or t.number < len(tuning.trials))
    tried = {tuning.outcome(_values(one.params, distributions)) for one in earlier}
    if tuning.outcome(values) not in tried:
        return None
    others = [other for other in tuning.distinct if tuning.outcome(other) not in tried]
    return random.Random(named_seed(f"untried={tuning.key}/trial={number}")).choice(others) if others else None


def _sampler(seed: int, name: str) -> BaseSampler:
    if name == "nsga2":
        return NSGAIISampler(seed=seed, population_size=POPULATION_SIZE)
    # the constant liar keeps the trials of one round apart
    return TPESampler(seed=seed, n_startup_trials=NUM_STARTUP_TRIALS, constant_liar=True)


def _distributions(tuning: Tuning) -> dict[str, BaseDistribution]:
    return {parameter.name: _distribution(parameter) for parameter in tuning.parameters}


def _distribution(parameter: Parameter) -> BaseDistribution:
    if parameter.kind == "choice":
        return CategoricalDistribution([canonical_json(choice) for choice in parameter.choices])
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.kind == "float":
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=parameter.step or 1)


def _to_optuna(distribution: BaseDistribution, value: Any) -> Any:
    """Choices become JSON text: Optuna's categorical values cannot be lists or mappings."""
    return canonical_json(value) if isinstance(distribution, CategoricalDistribution) else value


def _from_optuna(distribution: BaseDistribution, value: Any) -> Any:
    return json_text.parse(value) if isinstance(distribution, CategoricalDistribution) else value


def _to_frozen_trial(
    trial: TuningTrial, distributions: Mapping[str, BaseDistribution], objectives: Sequence[str]
) -> FrozenTrial:
    scores = {VAL_ACCURACY: trial.val_accuracy, **trial.costs}
    return create_trial(
        state=STATES[trial.status],
        values=[float(scores[name] or 0.0) for name in objectives] if trial.status == "done" else None,
        intermediate_values={int(epoch): accuracy for epoch, accuracy in trial.learning_curve.items()},
        params={name: _to_optuna(distributions[name], value) for name, value in trial.values.items()},
        distributions=dict(distributions),
        system_attrs=dict(trial.attributes),
    )
