"""Parameter importances of a search: the share of an objective's variation that each parameter explains.

An importance is an optional analysis. One that cannot be computed is left out with its reason and never fails a sweep.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from study.design.search_space import VAL_ACCURACY
from study.planning.tuning_state import Importances, Tuning
from study.tuning.sampler import optuna_study
from study.utils.text import plural

SAME = 1e-9  # relative: values that differ by less are equal up to rounding

Target = Callable[[FrozenTrial], float]
Shares = Mapping[str, float]  # by parameter; they sum to 1


def fanova(study: optuna.Study, target: Target) -> Shares:
    """Over the whole space (Hutter, Hoos & Leyton-Brown 2014)."""
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), target=target)


def ped_anova(study: optuna.Study, target: Target) -> Shares:
    """What separates trials of a low `target` from the rest (Watanabe, Bansal & Hutter 2023, arXiv 2304.10255).

    Raises UserWarning where equally good trials leave no rest.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes")  # a reminder that low is good
        warnings.filterwarnings("error", "Target and region quantiles select the same")
        return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), target=target)


METHODS: Mapping[str, Callable[[optuna.Study, Target], Shares]] = {"fanova": fanova, "ped_anova": ped_anova}


def importances(tuning: Tuning) -> Importances:
    """Importances of all parameters for every objective, from the trials that ran to their end."""
    study = optuna_study(tuning)
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shares: dict[str, dict[str, Shares]] = {}
    unavailable: dict[str, dict[str, str]] = {}
    for position, objective in enumerate(tuning.space.objectives):
        if reason := _no_variation([trial.values[position] for trial in done]):
            unavailable[objective] = dict.fromkeys(METHODS, reason)
            continue
        target = _cost(position, objective)
        for name, method in METHODS.items():
            try:
                found = _finite(method(study, target))
            except Exception as error:  # any: every trial has finished, and the sweep must not fail now
                unavailable.setdefault(objective, {})[name] = _reason(error)
            else:
                shares.setdefault(objective, {})[name] = found
    return Importances(shares, unavailable)


def _no_variation(values: Sequence[float]) -> str | None:
    if len(values) < 2:
        return f"at least 2 finished trials are needed, found {len(values)}"
    if math.isclose(min(values), max(values), rel_tol=SAME):
        return f"all {plural(len(values), 'finished trial')} have the same value"
    return None


def _cost(position: int, objective: str) -> Target:
    """An objective as a cost: PED-ANOVA explains low values."""
    sign = -1.0 if objective == VAL_ACCURACY else 1.0
    return lambda trial: sign * float(trial.values[position])


def _finite(shares: Shares) -> Shares:
    if not all(map(math.isfinite, shares.values())):
        raise ValueError("the result is NaN or inf")
    return shares


def _reason(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
