"""From a grid file to a study: its factors, its cells, and its trials.

The baseline is one of the levels of every factor. Which combinations there are, says the design (study/designs). A
cell that a condition leaves out is kept, with its reason; any other cell must be valid.
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
from study.design.comparison import check_claims, labels_by_factor
from study.design.constraints import Conditions
from study.design.factors import Factor, Level, read_factor
from study.design.grid import Grid, SampleSpec
from study.design.kinds import factorial, fractional
from study.design.kinds.aliases import Aliases
from study.design.kinds.ask import Ask, Codes
from study.design.kinds.words import alias_lines, sample_line
from study.design.overrides import InvalidError, laid_over, overlaps, settings
from study.design.search_space import BIASED, Space, read_search, read_tune
from study.design.tied_factors import pair
from study.design.validation_errors import complaints
from study.design.yaml_file import GridFile, Place, read
from study.utils.errors import StudyError
from study.vit.subject import Settings

MAX_TRIALS = 1_000_000


@dataclass(frozen=True)
class Cell:
    """One combination of levels. `settings` is None only where an excluded cell could not be built."""

    labels: Mapping[str, str]  # factor -> level
    settings: Settings | None
    changed: tuple[str, ...]  # the factors in which it differs from the baseline
    excluded: str | None = None  # the reason

    @cached_property
    def name(self) -> str:
        """The levels that differ from the baseline's; no other cell of the study is called so."""
        return ", ".join(f"{factor}={self.labels[factor]}" for factor in self.changed) or "baseline"


@dataclass(frozen=True)
class Trial:
    """One cell x one replicate."""

    cell: Cell
    settings: Settings
    replicate: int  # from 1; 0 for a tuning trial
    seed: int
    tuning: int = 0  # the number of a tuning trial, from 1; 0 for a replicate

    @property
    def tag(self) -> str:
        """r2 for a replicate, t7 for a tuning trial."""
        return f"t{self.tuning}" if self.tuning else f"r{self.replicate}"


@dataclass(frozen=True)
class Study:
    """One question with its design. The first cell is the baseline; excluded cells are among the cells."""

    grid: Grid
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
    def design(self) -> str:
        """What its design is called where people read."""
        return kinds.design_name(self.grid)

    @property
    def aliases(self) -> Aliases | None:
        """Of a fractional design: which effects it cannot tell apart."""
        return fractional.aliases(self.grid, self.factors) if self.design == "fractional" else None

    @property
    def sample(self) -> SampleSpec | None:
        """Of a sample: how it was taken, from `product` cells."""
        return factorial.sample_of(self.grid)

    @property
    def product(self) -> int:
        """How many combinations of levels there are."""
        return math.prod(len(factor.levels) for factor in self.factors)

    @property
    def lines(self) -> list[str]:
        """What is particular to its design, for people."""
        lines = list(alias_lines(self.aliases)) if self.aliases else []
        lines += [sample_line(self.sample, self.product, self.grid.seed)] if self.sample else []
        lines += [f"levels of {factor.name} move together" for factor in self.factors if factor.parts]
        return lines + [f"only kept: {spec.reason}" for spec in self.grid.only]

    @property
    def full(self) -> Cell | None:
        """The model with all parts, where the design removes parts."""
        return self.baseline if "leave_one_out" in self.design else None

    @property
    def bare(self) -> Cell | None:
        """The model without any part, where the design adds parts."""
        if self.design == "add_one":
            return self.baseline
        both = "add_one" in self.design
        return next(cell for cell in self.cells if len(cell.changed) == len(self.factors)) if both else None

    @property
    def baseline(self) -> Cell:
        return self.cells[0]

    @cached_property
    def included(self) -> list[Cell]:
        """The cells that are to be run."""
        return [cell for cell in self.cells if cell.excluded is None]

    def error(self, cell: Cell, path: str, message: str) -> StudyError:
        """An error about one field of a cell: points at the level that sets it, or else into the baseline."""
        changes = (level for f in self.factors for level in f.levels[1:] if level.label == cell.labels[f.name])
        level = _setter(changes, path)
        if level is None:
            return self.source.error(("baseline", *path.split(".")), message)
        return level.at.error(f"cell '{cell.name}': {path}: {message}")


def load(path: Path | str) -> Study:
    """Read a grid file into a study. Raises StudyError naming file, line, key, value and what was possible."""
    source = read(Path(path))
    grid = _parse(source)
    try:
        baseline = settings(grid.baseline)
    except InvalidError as error:
        raise source.error(("baseline", *error.keys), error.message) from None
    top = Place(source)
    _check_parts(grid, top)
    factors = tuple(
        read_factor(name, spec, grid.baseline, baseline, top / "factors" / name) for name, spec in grid.factors.items()
    )
    factors = pair(grid.paired, factors, top / "paired")
    layout = _Layout(grid, factors, top)
    cells = tuple(layout.cells())
    if grid.adaptive and not grid.claims:
        raise (top / "replicates" / "until").error("there are no claims to decide; add 'claims', or give a number")
    included = [tuple(cell.labels.values()) for cell in cells if cell.excluded is None] if grid.claims else []
    left_out_at = functools.partial(layout.left_out_at, cells)
    check_claims(grid.claims, labels_by_factor(factors), included, top / "claims", left_out_at)
    settings_of = {cell.name: cell.settings for cell in cells if cell.excluded is None and cell.settings is not None}
    return Study(grid, factors, cells, source, _space(grid, factors, settings_of, top))


def _space(grid: Grid, factors: tuple[Factor, ...], cells: Mapping[str, Settings], top: Place) -> Space | None:
    """What is tuned or searched."""
    if grid.search is None:
        return read_tune(grid.tune, factors, cells, top / "tune") if grid.tune else None
    return read_search(grid.search, factors, next(iter(cells.values())), top / "search")


def _check_parts(grid: Grid, top: Place) -> None:
    """Which keys go with a search, and which with all other designs."""
    searches = grid.design == "search"
    if grid.early_stopping is not None:
        raise (top / "early_stopping").error(f"{'belongs inside search' if searches else BIASED}; leave it out")
    if searches and grid.search is None:
        raise (top / "design").error("a search needs 'search', as in search: {trials: 50, space: {...}}")
    if not searches and grid.search is not None and grid.search.early_stopping is not None:
        raise (top / "search" / "early_stopping").error(f"{BIASED}; leave it out")
    if not searches and grid.search is not None:
        raise (top / "search").error("belongs to design: search; leave it out, or change the design")
    if not searches and not grid.factors:
        raise (top / "factors").error("names nothing that varies; write at least one factor")
    for key in ("tune", "claims", "only", "exclude"):
        if searches and getattr(grid, key):
            raise (top / key).error("does not go with design: search, which compares no cells; leave it out")


def expand(study: Study) -> list[Trial]:
    """All trials that a study may have, replicate by replicate, so that a sweep cut short has whole replicates.

    Where replicates are added as they are needed, `study.planning.trials` says which of them are.
    A replicate's seed is the same for all cells: they are compared pairwise.
    """
    replicates = range(1, study.grid.most_replicates + 1)
    seeds = {replicate: replicate_seed(study.grid.seed, replicate) for replicate in replicates}
    return [
        Trial(cell, cell.settings, replicate, seed)
        for replicate, seed in seeds.items()
        for cell in study.cells
        if cell.excluded is None and cell.settings is not None
    ]


def replicate_seed(base: int, replicate: int) -> int:
    """A 32-bit seed from named axes, so that neighbouring replicates share nothing."""
    return named_seed(f"seed={base}/replicate={replicate}")


def tuning_seed(base: int) -> int:
    """The seed of all tuning trials: none of them has a replicate's, and all cells are tuned by the same chance."""
    return named_seed(f"seed={base}/tuning")


def named_seed(axes: str) -> int:
    """A 32-bit seed from named axes, as in seed=0/replicate=1."""
    return int.from_bytes(hashlib.sha256(axes.encode()).digest()[:4], "big")


def _parse(source: GridFile) -> Grid:
    try:
        return Grid.model_validate(source.data)
    except ValidationError as error:
        keys, message = next(complaints(error, Grid, source.data))
        raise source.error(keys, message) from None


@dataclass(frozen=True)
class _Layout:
    """From the positions of levels to cells."""

    grid: Grid
    factors: tuple[Factor, ...]
    top: Place

    def cells(self) -> Iterator[Cell]:
        """All cells of the design. Raises StudyError for a design that cannot be and for a cell that is not valid."""
        self.conditions.check_baseline(*self._described(self._levels((0,) * len(self.factors))))
        ask = Ask(self.grid, self.factors, self.top, self._allowed)
        names: set[str] = set()
        left = 0
        for codes in kinds.checked(ask, MAX_TRIALS).cells(ask):
            levels = self._levels(codes)
            cell = self._cell(levels)
            if cell.name in names:
                raise levels[-1].at.error(f"a second cell is called '{cell.name}'; give a level another label")
            names.add(cell.name)
            left += cell.excluded is None
            yield cell
        self._check_conditions(left)

    @cached_property
    def conditions(self) -> Conditions:
        return Conditions.read(self.grid, self.factors, self.top)

    def _levels(self, codes: Codes) -> tuple[Level, ...]:
        return tuple(factor.levels[code] for factor, code in zip(self.factors, codes, strict=True))

    def _described(self, levels: tuple[Level, ...]) -> tuple[dict[str, str], Mapping[str, Any]]:
        """A cell's labels and its plain settings."""
        labels = {factor.name: level.label for factor, level in zip(self.factors, levels, strict=True)}
        return labels, _laid(self.grid.baseline, self._changes(levels).values())

    def _changes(self, levels: tuple[Level, ...]) -> dict[str, Level]:
        return {f.name: level for f, level in zip(self.factors, levels, strict=True) if level is not f.baseline}

    def _allowed(self, codes: Codes) -> bool:
        return self.conditions.reason(*self._described(self._levels(codes))) is None

    def left_out_at(self, cells: Iterable[Cell], labels: tuple[str, ...]) -> Place | None:
        """What in the grid leaves out a cell of these labels that is not run; None where the design does not have it.

        `cells` are all of the study: of a sample only those that were drawn.
        """
        if self.grid.sample is None and labels not in (tuple(cell.labels.values()) for cell in cells):
            return None
        pairs = zip(self.factors, labels, strict=True)
        levels = tuple(next(level for level in factor.levels if level.label == label) for factor, label in pairs)
        return self.conditions.at_fault(*self._described(levels)) or self.top / "sample"

    def _cell(self, levels: tuple[Level, ...]) -> Cell:
        labels, raw = self._described(levels)
        changes = self._changes(levels)
        cell = Cell(labels, None, tuple(changes), self.conditions.reason(labels, raw))
        return _with_settings(cell, raw, list(changes.values()))

    def _check_conditions(self, left: int) -> None:
        """After all cells: each condition covers some, and something is left to compare."""
        if self.grid.sample is None:  # which draws but a part of the cells
            for condition in self.conditions.unused():
                raise condition.at.error("covers no cell of this design; correct it or leave it out")
        if left < 2 and self.grid.design != "search":
            at = self.top / ("exclude" if self.grid.exclude else "only")
            raise at.error("leaves only the baseline, and nothing to compare with it; leave fewer cells out")


def _laid(raw: Mapping[str, Any], changes: Iterable[Level]) -> Mapping[str, Any]:
    """The baseline with all changes, as far as they go together; `_check_apart` tells where they do not."""
    for level in changes:
        with contextlib.suppress(InvalidError):
            raw = laid_over(raw, level.fields)
    return raw


def _with_settings(cell: Cell, raw: Mapping[str, Any], changes: list[Level]) -> Cell:
    try:
        _check_apart(changes)
        return replace(cell, settings=settings(raw))
    except InvalidError as error:
        if cell.excluded is not None:
            return cell
        level = _setter(changes, error.path) or _setter(changes, error.path.partition(".")[0]) or changes[-1]
        message = f"cell '{cell.name}': {error.path}: {error.message}"
        raise level.at.error(f"{message}; change the level, or exclude the cell with a reason") from None


def _check_apart(changes: list[Level]) -> None:
    """Two levels of a cell may not set the same field, nor one a section and the other a field inside it."""
    for one, other in itertools.combinations(changes, 2):
        for path, second in itertools.product(one.fields, other.fields):
            if overlaps(path, second):
                inner = max(path, second, key=len)
                raise InvalidError(tuple(inner.split(".")), f"is set by both {one.label!r} and {other.label!r}")


def _setter(levels: Iterable[Level], path: str) -> Level | None:
    """The first level that sets a field, or what lies above or inside it."""
    return next((level for level in levels if any(overlaps(path, own) for own in level.fields)), None)
