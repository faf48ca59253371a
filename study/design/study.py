"""From a grid file to a study: its factors, cells and trials.

Every factor has a baseline level. The design (study/design/kinds) chooses the combinations of levels. An excluded cell
is kept, with its reason; any other cell must be valid.
"""

import contextlib
import functools
import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.design import kinds
from study.design.comparison import CellLookup, check_claims, check_contrasts, labels_by_factor
from study.design.constraints import Conditions
from study.design.factors import Factor, Level, read_factor, read_levels
from study.design.failures import check_worst
from study.design.grid import FactorSpec, Grid, SampleSpec
from study.design.kinds.aliases import Aliases
from study.design.kinds.design import Codes, Design, DesignRequest
from study.design.labels import conflict, covered, mismatches
from study.design.level_ranges import expand_ranges
from study.design.mistakes import Mistakes
from study.design.overrides import SECTIONS, InvalidError, longer, overlaps, settings, with_overrides
from study.design.resample import check_resampling
from study.design.search_space import BIASED, Space, read_search, read_tune
from study.design.selection_bias import check_validation_claims
from study.design.tied_factors import pair
from study.design.valid_rest import has_all_cells, valid_rest
from study.design.validation_errors import describe_errors
from study.design.yaml_file import GridError, GridFile, Place, read
from study.utils.escape import appearance
from study.vit.subject import FIXED, Resampling, Settings

CHANGE_OR_EXCLUDE = "change the level, or exclude the cell with a reason"


@dataclass(frozen=True)
class Cell:
    """One combination of levels. `settings` is None only where an excluded cell could not be built."""

    labels: Mapping[str, str]  # factor -> level
    settings: Settings | None
    changed: tuple[str, ...]  # factors that are not at the baseline level
    excluded: str | None = None  # the reason

    @cached_property
    def name(self) -> str:
        """The levels that differ from the baseline; unique within the study."""
        return ", ".join(f"{factor}={self.labels[factor]}" for factor in self.changed) or "baseline"


@dataclass(frozen=True)
class Trial:
    """One cell x one replicate."""

    cell: Cell
    settings: Settings
    replicate: int  # from 1; 0 for a trial of a tuning that all replicates share
    seed: int
    tuning: int = 0  # the number of a tuning trial, from 1; 0 for a replicate
    resampling: Resampling = FIXED

    @property
    def tag(self) -> str:
        """r2 for a replicate, t7 for a tuning trial, r2t7 for one of replicate 2's own tuning."""
        own = f"r{self.replicate}" if self.replicate else ""
        return f"{own}t{self.tuning}" if self.tuning else own


@dataclass(frozen=True)
class Study:
    """One question with its design. The first cell is the baseline; excluded cells are among the cells."""

    grid: Grid
    design: Design
    factors: tuple[Factor, ...]
    cells: tuple[Cell, ...]
    source: GridFile
    space: Space | None = None  # what is tuned

    @property
    def name(self) -> str:
        return self.grid.study

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def description(self) -> str:
        """Which cells the design runs, as half a sentence."""
        return self.design.description(self._request)

    @property
    def details(self) -> list[str]:
        """Further sentences on the design."""
        return self.design.details(self._request)

    @property
    def aliases(self) -> Aliases | None:
        """Effects that the design cannot estimate separately; None if it has no such effects."""
        return self.design.aliases(self._request) if self.design.aliases else None

    @property
    def sample(self) -> SampleSpec | None:
        """How the cells were sampled from the product; None if they were not."""
        return self.grid.sample_spec

    @property
    def product(self) -> int:
        """Number of combinations of levels."""
        return math.prod(len(factor.levels) for factor in self.factors)

    @property
    def full(self) -> Cell | None:
        """The model with all parts, if the design removes parts."""
        return self._cell_at(self.design.full(self._request)) if self.design.full else None

    @property
    def bare(self) -> Cell | None:
        """The model without any part, if the design adds parts."""
        return self._cell_at(self.design.bare(self._request)) if self.design.bare else None

    @property
    def baseline(self) -> Cell:
        return self.cells[0]

    @cached_property
    def included(self) -> list[Cell]:
        """The cells that are run."""
        return [cell for cell in self.cells if cell.excluded is None]

    @property
    def _request(self) -> DesignRequest:
        return DesignRequest(self.grid, self.factors, Place(self.source))

    def _cell_at(self, codes: Codes) -> Cell:
        labels = [factor.levels[code].label for factor, code in zip(self.factors, codes, strict=True)]
        return next(cell for cell in self.cells if [*cell.labels.values()] == labels)

    def error(self, cell: Cell, path: str, message: str) -> GridError:
        """An error about one field of a cell, at the level that sets it, otherwise at the baseline."""
        changes = (level for f in self.factors for level in f.levels[1:] if level.label == cell.labels[f.name])
        level = _setter(changes, path)
        if level is None:
            return self.source.error(("baseline", *path.split(".")), message)
        return level.at.error(f"cell '{cell.name}': {path}: {message}")


def load(path: Path | str) -> Study:
    """Read a grid file into a study. Raises StudyError with file, line, key, value and valid values."""
    return study_of(read(Path(path)))


def study_of(source: GridFile) -> Study:
    """The study of a grid file that has been read. Raises StudyError as `load`."""
    mistakes = Mistakes()
    rest, study = source, None
    while study is None:
        known = set(mistakes.keys)
        with mistakes.collect():
            study = _study(rest)
        if mistakes.keys == known:
            break
        rest = valid_rest(source, mistakes.keys)
    mistakes.check()
    assert study is not None
    return study


def _study(source: GridFile) -> Study | None:
    """The study of a grid; None for the valid rest of a grid whose cells are not known. Raises GridError.

    An error has the mistakes that are found before those that may follow from them.
    """
    mistakes = Mistakes()
    source = expand_ranges(source, mistakes)
    top = Place(source)
    grid = _parse(source, mistakes)
    baseline = _baseline(source, mistakes)
    written = {
        name: read_levels(name, spec, top / "factors" / name, mistakes) for name, spec in _factor_specs(source).items()
    }
    mistakes.check()
    assert grid is not None
    assert baseline is not None
    design = kinds.design_of(grid.design, top / "design")
    with mistakes.collect():
        _check_keys(grid, design, source)
    factors = _factors(grid, written, baseline, top, mistakes)
    factors = pair(grid.paired, factors, top / "paired")
    layout = _Layout(grid, design, factors, Conditions.read(grid, factors, top), top, mistakes)
    cells = tuple(layout.cells()) if has_all_cells(source) else ()
    included = [cell for cell in cells if cell.excluded is None]
    _check_adaptive(grid, source, mistakes)
    _check_replication(grid, source, mistakes)
    names = {**labels_by_factor(factors)} | {name: () for name in source.factors if name not in grid.factors}
    pretrained = {tuple(cell.labels.values()): bool(cell.settings and cell.settings.pretrain) for cell in included}
    lookup = CellLookup(names, pretrained if cells else None, functools.partial(layout.excluded_by, cells))
    check_claims(grid.claims, lookup, top / "claims", mistakes)
    check_validation_claims(grid, [cell.settings for cell in included if cell.settings], top, mistakes)
    check_contrasts(grid.compare, lookup, top / "compare", mistakes)
    check_worst(grid.failures, {"claims": grid.claims, "compare": grid.compare}, top, mistakes)
    space = None
    with mistakes.collect():
        check_resampling(grid, [cell.settings for cell in included if cell.settings], top)
    with mistakes.collect():
        space = _space(grid, factors, {cell.name: cell.settings for cell in included if cell.settings}, top)
    mistakes.check()
    return Study(grid, design, factors, cells, source, space) if cells else None


def _check_adaptive(grid: Grid, source: GridFile, mistakes: Mistakes) -> None:
    if grid.adaptive and not grid.tested_claims and has_all_cells(source) and "claims" not in source.changed:
        message = (
            "requires 'claims' on a metric that differs by replicate; add one, or use a fixed number of replicates"
        )
        mistakes.add(source.error(("replicates", "until"), message))


def _check_replication(grid: Grid, source: GridFile, mistakes: Mistakes) -> None:
    """A replication has a name, claims, and seeds of its own."""
    original = grid.replication
    if original is None:
        return
    last = original.replicates if isinstance(original.replicates, int) else original.replicates.max
    old, new = (
        {replicate_seed(seed, replicate) for replicate in range(1, most + 1)}
        for seed, most in ((original.seed, last), (grid.seed, grid.most_replicates))
    )
    if original.of == grid.study:
        mistakes.add(
            source.error(("replication", "of"), f"is this study, {grid.study!r}; give one of them another name")
        )
    if old & new and not source.changed & {"seed", "replicates"}:
        message = f"seed {grid.seed} gives a replicate the seed of one of the original; write another 'seed'"
        mistakes.add(source.error(("replication", "seed"), message))
    if not grid.tested_claims and has_all_cells(source) and "claims" not in source.changed:
        message = "requires 'claims' on a metric that differs by replicate; add one, or leave 'replication' out"
        mistakes.add(source.error(("replication",), message))


def _space(grid: Grid, factors: tuple[Factor, ...], cells: Mapping[str, Settings], top: Place) -> Space | None:
    """The hyper-parameters that are tuned, or the settings that are searched."""
    if grid.search is None:
        return read_tune(grid.tune, factors, cells, top / "tune") if grid.tune else None
    return read_search(grid.search, factors, next(iter(cells.values()), None), top / "search")


def _check_keys(grid: Grid, design: Design, source: GridFile) -> None:
    """Raises StudyError for keys that do not suit the design."""
    top = Place(source)
    if source.changed & {"design", "search"}:
        return  # the design is not known
    if grid.early_stopping is not None:
        message = BIASED if design.compares_cells else "belongs inside 'search'"
        raise (top / "early_stopping").error(f"{message}; leave it out")
    if design.compares_cells and grid.search is not None and grid.search.early_stopping is not None:
        raise (top / "search" / "early_stopping").error(f"{BIASED}; leave it out")
    kinds.check_keys(design, grid, top)
    if design.compares_cells and not grid.factors and has_all_cells(source):
        raise (top / "factors").error("no factors: at least one is required")
    for key in ("tune", "resample", "claims", "compare", "only", "exclude"):
        if not design.compares_cells and getattr(grid, key):
            raise (top / key).error(f"not supported with design: {design.name}, which compares no cells; leave it out")


def expand(study: Study) -> list[Trial]:
    """All trials that a study may have, replicate by replicate, so that an interrupted run has complete replicates.

    With adaptive replicates `study.planning.trials` selects among them. All cells of a replicate share its seed, so
    that they can be compared pairwise, and its split and training subset where these are drawn anew.
    """
    replicates = range(1, study.grid.most_replicates + 1)
    seeds = {replicate: replicate_seed(study.grid.seed, replicate) for replicate in replicates}
    return [
        Trial(cell, cell.settings, replicate, seed, resampling=resampling_of(study.grid, replicate))
        for replicate, seed in seeds.items()
        for cell in study.cells
        if cell.excluded is None and cell.settings is not None
    ]


def replicate_seed(base: int, replicate: int) -> int:
    """A 32-bit seed from named axes, so that neighbouring replicates are independent."""
    return named_seed(f"seed={base}/replicate={replicate}")


def tuning_seed(base: int, replicate: int = 0) -> int:
    """The seed shared by the tuning trials of all cells; distinct from the seed of every replicate.

    `replicate`: whose tuning it is; 0 for all. The first one's is the tuning of all replicates.
    """
    return named_seed(f"seed={base}/tuning" if replicate <= 1 else f"seed={base}/tuning={replicate}")


def resampling_of(grid: Grid, replicate: int) -> Resampling:
    """The seeds of what `resample` draws anew for a replicate: the same for all of its cells."""
    return Resampling(
        **{drawn: named_seed(f"seed={grid.seed}/replicate={replicate}/{drawn}") for drawn in grid.resample}
    )


def named_seed(axes: str) -> int:
    """A 32-bit seed from named axes, as in seed=0/replicate=1."""
    return int.from_bytes(hashlib.sha256(axes.encode()).digest()[:4], "big")


def _parse(source: GridFile, mistakes: Mistakes) -> Grid | None:
    try:
        return Grid.model_validate(source.data)
    except ValidationError as error:
        for keys, message in describe_errors(error, Grid, source.data):
            field = str(keys[0]) if len(keys) == 1 and keys[0] not in Grid.model_fields else ""
            place = longer(field) if field and field not in SECTIONS else ""
            if field in SECTIONS:
                message = f"unknown key {field!r}: write it below 'baseline'"
            elif place:
                message = f"unknown key {field!r}; {place} Write it below 'baseline'"
            mistakes.add(source.error(keys, message))
        return None


def _baseline(source: GridFile, mistakes: Mistakes) -> Settings | None:
    written = source.data.get("baseline")
    if not isinstance(written, dict):
        return None  # which is a mistake of the grid
    try:
        return settings(written)
    except InvalidError as error:
        for one in (error, *error.others):
            mistakes.add(source.error(("baseline", *one.keys), one.message))
        return None


def _factor_specs(source: GridFile) -> dict[str, FactorSpec]:
    """The factors whose keys are valid, also of a grid with mistakes elsewhere."""
    factors, found = source.data.get("factors"), {}
    for name, spec in factors.items() if isinstance(factors, dict) else ():
        with contextlib.suppress(ValidationError):
            found[name] = FactorSpec.model_validate(spec)
    return found


def _factors(
    grid: Grid, written: Mapping[str, list[Level]], baseline: Settings, top: Place, mistakes: Mistakes
) -> tuple[Factor, ...]:
    found: list[Factor] = []
    names: dict[str, str] = {}
    for name, spec in grid.factors.items():
        with mistakes.collect():
            at = top / "factors" / name
            if (twin := names.setdefault(appearance(name), name)) != name:
                raise at.error(f"duplicate factor: looks like {twin!r}")
            found.append(read_factor(name, spec, written[name], grid.baseline, baseline, at))
    mistakes.check()
    return tuple(found)


@dataclass(frozen=True)
class _Layout:
    """From the positions of levels to cells."""

    grid: Grid
    design: Design
    factors: tuple[Factor, ...]
    conditions: Conditions
    top: Place
    mistakes: Mistakes

    def cells(self) -> Iterator[Cell]:
        """All cells of the design. Raises StudyError for a grid that does not suit it, and for an invalid cell."""
        self.conditions.check_baseline(*self._described(self._levels((0,) * len(self.factors))))
        request = DesignRequest(self.grid, self.factors, self.top, self._is_included)
        kinds.check_request(self.design, request)
        names: set[str] = set()
        made: dict[Settings, Cell] = {}
        included = 0
        for codes in self.design.cells(request):
            levels = self._levels(codes)
            cell = None
            with self.mistakes.collect():
                cell = self._cell(levels)
            if cell is None:
                continue
            if cell.name in names:
                raise levels[-1].at.error(f"duplicate cell name '{cell.name}'; give a level another label")
            names.add(cell.name)
            twin = made.setdefault(cell.settings, cell) if cell.excluded is None and cell.settings else cell
            if twin is not cell:
                message = f"cell '{cell.name}' has the same settings as cell '{twin.name}'"
                raise levels[-1].at.error(f"{message}; remove a factor, or exclude one of them with a reason")
            included += cell.excluded is None
            yield cell
        self.mistakes.check()
        self._check_conditions(included, request)

    def _levels(self, codes: Codes) -> tuple[Level, ...]:
        return tuple(factor.levels[code] for factor, code in zip(self.factors, codes, strict=True))

    def _described(self, levels: tuple[Level, ...]) -> tuple[dict[str, str], Mapping[str, Any]]:
        """A cell's labels and its plain settings."""
        labels = {factor.name: level.label for factor, level in zip(self.factors, levels, strict=True)}
        return labels, _overridden(self.grid.baseline, list(self._changes(levels).values()), levels)

    def _changes(self, levels: tuple[Level, ...]) -> dict[str, Level]:
        return {f.name: level for f, level in zip(self.factors, levels, strict=True) if level is not f.baseline}

    def _is_included(self, codes: Codes) -> bool:
        return self.conditions.reason(*self._described(self._levels(codes))) is None

    def excluded_by(self, cells: Iterable[Cell], labels: tuple[str, ...]) -> Place | None:
        """The grid key that excludes the cell with these labels, which is not run; None if the design has no such cell.

        `cells` are all cells of the study: of a sample only those that were drawn.
        """
        drawn_by = self.design.draws_by(DesignRequest(self.grid, self.factors, self.top))
        if drawn_by is None and labels not in (tuple(cell.labels.values()) for cell in cells):
            return None
        pairs = zip(self.factors, labels, strict=True)
        levels = tuple(next(level for level in factor.levels if level.label == label) for factor, label in pairs)
        return self.conditions.excluded_at(*self._described(levels)) or self.top / (drawn_by or "design")

    def _cell(self, levels: tuple[Level, ...]) -> Cell:
        labels, raw = self._described(levels)
        changes = self._changes(levels)
        cell = _with_settings(
            Cell(labels, None, tuple(changes), self.conditions.reason(labels, raw)), raw, list(changes.values())
        )
        if cell.excluded is None and cell.settings is not None:
            self._check_labels(cell, cell.settings, levels)
        return cell

    def _check_labels(self, cell: Cell, made: Settings, levels: tuple[Level, ...]) -> None:
        """Raises StudyError if a field of the cell's settings differs from what the label of a level states."""
        changed = [factor.name in cell.changed for factor in self.factors]
        for found in mismatches(made, [level.stated for level in levels], changed):
            level = levels[found.level]
            if found.other is None:
                raise level.at.error(_hidden_by_baseline(level, made))
            other = levels[found.other]
            message = f"cell '{cell.name}': {found.expected.path}: is set by both {level.label!r} and {other.label!r}"
            raise (level if changed[found.level] else other).at.error(f"{message}; {CHANGE_OR_EXCLUDE}")

    def _check_conditions(self, included: int, request: DesignRequest) -> None:
        """After all cells: every condition covers some cell, and at least two cells are included."""
        if not self.design.draws_by(request):  # a drawn cell is an included one, so conditions may cover none
            for condition in self.conditions.unused():
                raise condition.at.error("covers no cell of this design; correct it or leave it out")
        if included < 2 and self.design.compares_cells:
            at = self.top / ("exclude" if self.grid.exclude else "only")
            raise at.error("leaves only the baseline, so there is nothing to compare; exclude fewer cells")


def _overridden(raw: Mapping[str, Any], changes: list[Level], levels: Iterable[Level]) -> Mapping[str, Any]:
    """The baseline with all changes that are compatible; `_check_disjoint` raises for the others.

    A preset, or a section as a whole, is laid before the fields that other levels state, baseline levels included.
    """
    if any(level.is_whole for level in changes):
        fields = {path: value for level in changes for path, value in level.fields.items()}
        pinned = covered(fields, [level.stated for level in levels])
        changes = [replace(changes[0], fields=fields | pinned)]
    for level in changes:
        with contextlib.suppress(InvalidError):
            raw = with_overrides(raw, level.fields)
    return raw


def _hidden_by_baseline(level: Level, made: Settings) -> str:
    """The message for a preset under fields that the baseline writes."""
    hidden = ", ".join(one.path for one in level.stated if not one.holds(made))
    return (
        f"level {level.label!r} is not in effect as a whole: the baseline writes {hidden}, which override it; leave "
        "fields of a preset out of the baseline, or write their values in the level ('set')"
    )


def _with_settings(cell: Cell, raw: Mapping[str, Any], changes: list[Level]) -> Cell:
    try:
        _check_disjoint(changes)
        return replace(cell, settings=settings(raw))
    except InvalidError as error:
        if cell.excluded is not None:
            return cell
        level = _setter(changes, error.path) or _setter(changes, error.path.partition(".")[0]) or changes[-1]
        message = f"cell '{cell.name}': {error.path}: {error.message}"
        raise level.at.error(f"{message}; {CHANGE_OR_EXCLUDE}") from None


def _check_disjoint(changes: list[Level]) -> None:
    """Raises InvalidError if two levels set the same field, or one a field of a section that the other removes."""
    for one, other in itertools.combinations(changes, 2):
        path = next(iter(one.fields.keys() & other.fields.keys()), None) or conflict(one.stated, other.stated)
        if path is not None:
            raise InvalidError(tuple(path.split(".")), f"is set by both {one.label!r} and {other.label!r}")


def _setter(levels: Iterable[Level], path: str) -> Level | None:
    """The first level that sets a field, its section, or a field inside it."""
    return next((level for level in levels if any(overlaps(path, own) for own in level.fields)), None)
