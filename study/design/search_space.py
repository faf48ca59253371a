"""The search space of a tuning or a search, read from a grid and checked against its cells."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from study.design.early_stopping import SuccessiveHalving
from study.design.factors import Factor, Level
from study.design.grid import Objective, ParameterSpec, SearchSpec, TuneSpec
from study.design.labels import Stated, conflict, covered, expanded, mismatches, preset_fields, stated
from study.design.mistakes import Mistakes
from study.design.overrides import InvalidError, overlaps, path_problem, settings, with_overrides
from study.design.validation_errors import model_at
from study.design.yaml_file import Place, shown
from study.utils.canonical_json import canonical_json
from study.utils.text import plural
from study.vit.subject import Settings, stages_of

MAX_LISTED = 1_000  # combinations of a space whose distinct settings are listed
Kind = Literal["float", "int", "choice"]
Values = Mapping[str, Any]  # by parameter name

VAL_ACCURACY: Literal["val_accuracy"] = "val_accuracy"
BIASED = "not supported: trials would be compared after few epochs, which biases the effects of factors"


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter: a range of numbers, or choices. Its name is the dotted path of its field."""

    name: str
    kind: Kind
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: int | None = None
    choices: tuple[Any, ...] = ()
    levels: Mapping[str, Level] = field(default_factory=dict)  # of a factor: by label

    def fields(self, value: Any) -> Mapping[str, Any]:
        """The fields that a value sets, by dotted path."""
        return self.levels[value].fields if self.levels else {self.name: value}

    def stated(self, value: Any) -> Stated:
        """What a value states about the settings of its trial."""
        return self.levels[value].stated if self.levels else stated({self.name: value})

    @property
    def count(self) -> int | None:
        """Number of values; None for a range of real numbers."""
        if self.choices:
            return len(self.choices)
        if self.kind == "float" or self.low is None or self.high is None:
            return None
        return int(self.high - self.low) // (self.step or 1) + 1

    @property
    def values(self) -> Sequence[Any]:
        """All values, of a parameter that has a `count`."""
        if self.low is None or self.high is None:
            return self.choices
        return range(int(self.low), int(self.high) + 1, self.step or 1)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that suggestions depend on, as plain JSON."""
        if self.levels:
            return {"name": self.name, "levels": {label: dict(level.fields) for label, level in self.levels.items()}}
        if self.kind == "choice":
            return {"name": self.name, "choices": list(self.choices)}
        return {"name": self.name, "low": self.low, "high": self.high, "log": self.log, "step": self.step}

    def belongs_to(self, cell: Settings) -> bool:
        """Whether a cell has the field: a cell trained from scratch has no fields of pre-training."""
        return getattr(cell, self.name.partition(".")[0], cell) is not None

    @property
    def samples(self) -> tuple[Any, ...]:
        """All choices, or both ends of the range: the values that are validated when the grid is read."""
        return self.choices or (self.low, self.high)

    def beyond(self, cell: Settings) -> tuple[bool, bool]:
        """Whether values below and above the range are valid for a cell: nothing is below a weight decay of 0."""
        if self.low is None or self.high is None:
            return False, False
        below = self.low * 0.9 if self.log else self.low - (self.high - self.low) / 10
        above = self.high * 1.1 if self.log else self.high + (self.high - self.low) / 10
        whole = (math.floor(below), math.ceil(above)) if self.kind == "int" else (below, above)
        return _is_valid(cell, {self.name: whole[0]}), _is_valid(cell, {self.name: whole[1]})


@dataclass(frozen=True)
class Space:
    """The parameters that are tuned or searched, and the budget."""

    parameters: tuple[Parameter, ...]
    budget: int  # trials of a tuning; at most the number of distinct settings
    parallel: int  # concurrent trials per cell
    warm_start: bool = False
    objectives: tuple[Objective, ...] = (VAL_ACCURACY,)
    sampler: Literal["tpe", "nsga2"] = "tpe"
    searches: bool = False  # for Pareto-optimal settings, instead of the best values of each cell
    early_stopping: SuccessiveHalving | None = None  # of the trials of a search
    requested: int = 0  # trials per cell, as written in the grid
    tunings: int = 1  # of each cell: one that all replicates use, or one for each replicate

    @property
    def identity(self) -> dict[str, Any]:
        """What suggestions depend on besides the parameters; a tuning leaves later fields out, to keep its keys."""
        more = {"objectives": list(self.objectives), "sampler": self.sampler}
        stopping = {"halving": asdict(self.early_stopping)} if self.early_stopping else {}
        return {"parallel": self.parallel, **(more if self.searches else {}), **stopping}

    def of(self, cell: Settings) -> tuple[Parameter, ...]:
        """The parameters of a cell."""
        return tuple(parameter for parameter in self.parameters if parameter.belongs_to(cell))


def with_values(cell: Settings, fields: Mapping[str, Any]) -> Settings:
    """A cell's settings with some fields replaced, by dotted path. Raises InvalidError.

    A preset replaces all of its fields, as a cell's settings have no preset any more.
    """
    return settings(with_overrides(cell.model_dump(mode="json"), expanded(fields)))


def suggested(cell: Settings, parameters: Iterable[Parameter], values: Values) -> Settings:
    """A cell's settings with suggested values. Raises InvalidError if they are incompatible."""
    own = list(parameters)
    every = [parameter.stated(values[parameter.name]) for parameter in own]
    parts = [parameter.fields(values[parameter.name]) for parameter in own]
    for i, j in itertools.combinations([i for i, part in enumerate(parts) if part], 2):
        if path := next(iter(parts[i].keys() & parts[j].keys()), None) or conflict(every[i], every[j]):
            raise _set_twice(path, own[i], own[j])
    fields = {path: value for part in parts for path, value in part.items()}
    made = with_values(cell, fields | covered(fields, every))
    for found in mismatches(made, every, [bool(part) for part in parts]):
        raise _set_twice(found.expected.path, own[found.level], own[found.other or 0])
    return made


def _set_twice(path: str, one: Parameter, other: Parameter) -> InvalidError:
    return InvalidError(tuple(path.split(".")), f"is set by both {one.name!r} and {other.name!r}")


def distinct(cell: Settings, parameters: Sequence[Parameter]) -> list[Values] | None:
    """Values for each distinct setting of a small space, and for each invalid one; None for a larger space."""
    if not is_small(parameters):
        return None
    found: dict[Settings | str, Values] = {}
    for combination in itertools.product(*(parameter.values for parameter in parameters)):
        values = {parameter.name: value for parameter, value in zip(parameters, combination, strict=True)}
        found.setdefault(outcome(cell, parameters, values), values)
    return list(found.values())


def is_small(parameters: Iterable[Parameter]) -> bool:
    """Whether all combinations of values can be listed."""
    size = _size(parameters)
    return size is not None and size <= MAX_LISTED


def outcome(cell: Settings, parameters: Iterable[Parameter], values: Values) -> Settings | str:
    """The settings that values give; as text if they are invalid."""
    try:
        return suggested(cell, parameters, values)
    except InvalidError:
        return canonical_json(values, allow_nan=True)


def _size(parameters: Iterable[Parameter]) -> int | None:
    """Number of combinations of values; None if it is infinite."""
    counts = [parameter.count for parameter in parameters]
    return None if None in counts else math.prod(count for count in counts if count is not None)


def _budget(requested: int, sizes: Iterable[int | None]) -> int:
    """A trial of settings that were tried before would repeat their result, as all trials share one seed."""
    known = list(sizes)
    return requested if None in known else min(requested, max(size for size in known if size is not None))


def _is_valid(cell: Settings, values: Values) -> bool:
    try:
        with_values(cell, values)
    except InvalidError:
        return False
    return True


def read_tune(spec: TuneSpec, factors: tuple[Factor, ...], cells: Mapping[str, Settings], at: Place) -> Space | None:
    """The space that `tune` declares; None, after a check of the parameters, if the cells are not known.

    Raises StudyError for a path that is unknown or set by a factor, an invalid range, and a cell without parameters.
    """
    if spec.early_stopping is not None:
        raise (at / "early_stopping").error(f"{BIASED}; leave it out")
    parameters = _parameters(spec.parameters, factors, at / "parameters")
    if not cells:
        return None
    mistakes = Mistakes()
    for name, cell in cells.items():
        with mistakes.collect():
            _check_cell(name, cell, parameters, at / "parameters")
    mistakes.check()
    sizes = {tuple(p.belongs_to(cell) for p in parameters): cell for cell in cells.values()}
    budget = _budget(spec.budget, (_size(p for p in parameters if p.belongs_to(cell)) for cell in sizes.values()))
    return Space(parameters, budget, spec.parallel, spec.warm_start, requested=spec.budget, tunings=spec.seeds)


def read_search(spec: SearchSpec, factors: tuple[Factor, ...], baseline: Settings | None, at: Place) -> Space | None:
    """The space that `search` declares; None, after a check of the parameters, if the baseline is not known.

    Raises StudyError for invalid objectives, a missing or duplicate space, and as `read_tune` does.
    """
    _check_objectives(spec, at)
    if bool(spec.space) == bool(factors):
        found = "both" if factors else "neither"
        raise at.error(f"requires either 'space' or 'factors' as the search space, found {found}")
    if factors:
        parameters = tuple(
            Parameter(factor.name, "choice", choices=tuple(level.label for level in factor.levels),
                      levels={level.label: level for level in factor.levels})
            for factor in factors
        )  # fmt: skip
    else:
        parameters = _parameters(spec.space, (), at / "space")
        if baseline is None:
            return None
        _check_cell("baseline", baseline, parameters, at / "space")
    if baseline is None:
        return None
    objectives, early_stopping = tuple(spec.objectives), _early_stopping(spec, parameters, baseline, at)
    listed = distinct(baseline, parameters)
    budget = _budget(spec.trials, [_size(parameters) if listed is None else len(listed)])
    return Space(parameters, budget, spec.parallel, False, objectives, spec.sampler, True, early_stopping, spec.trials)


def _early_stopping(
    spec: SearchSpec, parameters: tuple[Parameter, ...], baseline: Settings, at: Place
) -> SuccessiveHalving | None:
    if spec.early_stopping is None:
        if spec.grace is not None:
            raise (at / "grace").error("requires early_stopping: asha; add that, or leave it out")
        return None
    if spec.objectives != [VAL_ACCURACY]:
        message = (
            "not supported with several objectives: a cheap trial of lower validation accuracy may be Pareto-optimal"
        )
        raise (at / "early_stopping").error(f"{message}; leave it out, or use objectives: [val_accuracy]")
    last = stages_of(baseline)[-1]
    epochs, warmup = last.epochs, last.warmup_epochs
    for parameter in parameters:
        for sample in parameter.samples:
            try:
                tried = stages_of(with_values(baseline, parameter.fields(sample)))[-1]
            except InvalidError:  # reported by _check_cell unless another parameter's value makes it valid
                continue
            if tried.epochs != epochs:
                message = f"requires the same number of epochs in all trials, but {parameter.name} changes it"
                raise (at / "early_stopping").error(f"{message}; leave it out, or fix finetune.epochs")
            warmup = max(warmup, tried.warmup_epochs)
    early_stopping = SuccessiveHalving(spec.grace or max(1, math.ceil(warmup)), epochs)
    if not early_stopping.rungs:
        length = plural(epochs, "epoch")
        message = f"no trial would be stopped: trials have {length}, and grace is {early_stopping.grace}"
        raise (at / ("grace" if spec.grace else "early_stopping")).error(f"{message}; use a smaller grace")
    return early_stopping


def _check_objectives(spec: SearchSpec, at: Place) -> None:
    if len(set(spec.objectives)) < len(spec.objectives):
        raise (at / "objectives").error("duplicate objective; list each once")
    if VAL_ACCURACY not in spec.objectives:
        raise (at / "objectives").error("requires val_accuracy: otherwise the smallest model is best, even untrained")


def _parameters(specs: Mapping[str, ParameterSpec], factors: tuple[Factor, ...], at: Place) -> tuple[Parameter, ...]:
    mistakes, found = Mistakes(), []
    for name, one in specs.items():
        with mistakes.collect():
            found.append(_parameter(name, one, factors, at / name))
    mistakes.check()
    _check_disjoint(tuple(found), at)
    return tuple(found)


def _parameter(path: str, spec: ParameterSpec, factors: tuple[Factor, ...], at: Place) -> Parameter:
    if problem := path_problem(path):
        raise at.error(problem)
    if path.endswith(".dataset"):
        raise at.error("data sets cannot be tuned; make it a factor")
    names = [path, *preset_fields(path)]
    for factor in factors:
        if own := next(
            (name for name in names for level in factor.levels if _sets(expanded(level.fields), name)), None
        ):
            own = f"sets {own}, which " if own != path else ""
            message = f"{own}is also set by factor {factor.name!r}, whose levels a tuned value would override"
            raise at.error(f"{message}; tune another field, or remove it from the factor")
    return read_parameter(path, spec, at)


def read_parameter(path: str, spec: ParameterSpec, at: Place) -> Parameter:
    """One parameter from its written form. Raises StudyError for invalid values."""
    written = spec.model_fields_set
    kind = _kind(path)
    if spec.choices is not None:
        if extra := sorted(written - {"choices"}):
            raise (at / extra[0]).error(f"{extra[0]!r} belongs to a range; leave it out with 'choices'")
        return Parameter(path, "choice", choices=tuple(_distinct(spec.choices, at / "choices")))
    if kind == "choice":
        raise at.error("is not numeric: requires 'choices: [...]'")
    if spec.low is None or spec.high is None:
        raise at.error("requires 'low' and 'high', as in {low: 1e-4, high: 1e-2, log: true}, or 'choices: [...]'")
    return _range(path, kind, spec, spec.low, spec.high, at)


def _range(path: str, kind: Kind, spec: ParameterSpec, low: float, high: float, at: Place) -> Parameter:
    if not low < high:
        raise (at / "high").error(
            f"invalid value {shown(high)}: must be above low ({shown(low)}); for a single value set the field itself"
        )
    if spec.log and low <= 0:
        raise (at / "low").error(f"invalid value {shown(low)}: must be above 0 with log: true")
    if kind == "float":
        if spec.step is not None:
            raise (at / "step").error("supported for integers only; leave it out, or use 'choices'")
        return Parameter(path, kind, float(low), float(high), spec.log)
    for name, end in (("low", low), ("high", high)):
        if not isinstance(end, int):
            raise (at / name).error(f"invalid value {shown(end)}: must be an integer, as {path}")
    if spec.step is not None and spec.log:
        raise (at / "step").error("not supported with log: true; leave one of them out")
    if spec.step is not None and (high - low) % spec.step:
        last = high - (high - low) % spec.step
        raise (at / "step").error(
            f"invalid value {spec.step}: must divide high - low ({high} - {low}); use high: {last} or another step"
        )
    return Parameter(path, kind, low, high, spec.log, None if spec.log else spec.step or 1)


def _kind(path: str) -> Kind:
    *keys, last = path.split(".")
    model = model_at(Settings, tuple(keys))
    kinds = set(_plain_types(model.model_fields[last].annotation)) if model and last in model.model_fields else set()
    kinds -= {type(None)}
    return "int" if kinds == {int} else "float" if kinds == {float} else "choice"


def _plain_types(annotation: Any) -> Iterator[Any]:
    """The types of a value, without constraints; those of a union separately."""
    if get_origin(annotation) is Annotated:
        yield from _plain_types(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _plain_types(part)
    else:
        yield annotation


def _distinct(choices: list[Any], at: Place) -> list[Any]:
    seen: set[str] = set()
    for i, choice in enumerate(choices):
        if canonical_json(choice, allow_nan=True) in seen:
            raise (at / i).error(f"duplicate choice {shown(choice)}")
        seen.add(canonical_json(choice, allow_nan=True))
    return choices


def _sets(fields: Mapping[str, Any], path: str) -> bool:
    """Whether a level sets the field; a section without the field, or null, does not."""
    for own, value in fields.items():
        inside = path[len(own) + 1 :] if path.startswith(f"{own}.") else None
        if (inside is None and overlaps(own, path)) or (inside and _has(value, inside)):
            return True
    return False


def _has(value: Any, path: str) -> bool:
    first, _, rest = path.partition(".")
    if not isinstance(value, Mapping) or first not in value:
        return False
    return _has(value[first], rest) if rest else True


def _check_disjoint(parameters: tuple[Parameter, ...], at: Place) -> None:
    for i, one in enumerate(parameters):
        for other in parameters[:i]:
            if overlaps(one.name, other.name):
                raise (at / one.name).error(f"overlaps with {other.name}; each field is tuned once")


def _check_cell(name: str, cell: Settings, parameters: tuple[Parameter, ...], at: Place) -> None:
    """Raises StudyError if an end of a range, or a choice, is invalid in a cell that has the parameter.

    Invalid combinations of valid values are not checked: such a trial fails.
    """
    own = [parameter for parameter in parameters if parameter.belongs_to(cell)]
    if not own:
        message = f"cell '{name}' has none of the parameters, as it has no pre-training"
        raise at.error(f"{message}; also tune a field of finetune or encoder, or exclude the cell")
    for parameter in own:
        for value in parameter.samples:
            try:
                with_values(cell, {parameter.name: value})
            except InvalidError as error:
                if _is_valid_with_another(cell, parameter, value, own):
                    continue
                message = f"invalid value {shown(value)} in cell '{name}': {error.path}: {error.message}"
                raise (at / parameter.name).error(message) from None
        _check_choices(name, cell, parameter, at / parameter.name / "choices")


def _check_choices(name: str, cell: Settings, parameter: Parameter, at: Place) -> None:
    """Raises StudyError for a choice that gives the same settings as another one."""
    seen: dict[Settings | str, Any] = {}
    for i, choice in enumerate(parameter.choices):
        made = outcome(cell, [parameter], {parameter.name: choice})
        if made in seen:
            raise (at / i).error(
                f"duplicate choice {shown(choice)}: same settings as {shown(seen[made])} in cell '{name}'; remove one"
            )
        seen[made] = choice


def _is_valid_with_another(cell: Settings, parameter: Parameter, value: Any, others: list[Parameter]) -> bool:
    """Whether a value that is invalid alone is valid together with a value of another parameter."""
    beside = ((other.name, sample) for other in others if other is not parameter for sample in other.samples)
    return any(_is_valid(cell, {parameter.name: value, name: sample}) for name, sample in beside)
