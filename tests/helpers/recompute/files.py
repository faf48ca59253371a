"""The files of a report: raw ones as tables, and derived ones as what to compare with."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

RELATIVE = 1e-6  # numbers are written with all digits; sums may differ in the last ones
ABSOLUTE = 1e-9
Key = tuple[tuple[str, Any], ...]  # column and value, of the row


@dataclass(frozen=True)
class Expected:
    """A number (nan: empty) or text in a derived file, at the row with these values."""

    file: str
    row: Mapping[str, Any]
    column: str
    value: Any
    relative: float = RELATIVE  # difference that counts as rounding
    absolute: float = ABSOLUTE


@dataclass(frozen=True)
class Difference:
    expected: Expected
    found: Any

    def __str__(self) -> str:
        one = self.expected
        return f"{one.file}, {dict(one.row)}, {one.column}: {self.found!r} instead of {one.value!r}"


class Raw:
    """The raw files of a report."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._derived: dict[str, pd.DataFrame] = {}

    @cached_property
    def trials(self) -> pd.DataFrame:
        """`results.csv` with numbers where they belong, without excluded cells."""
        found = self._csv("results.csv")
        numbers = [name for name in found if name.split("_")[-1] in ("accuracy", "seconds", "active", "params", "macs")]
        found[numbers] = found[numbers].apply(pd.to_numeric)
        found = found[found["status"] != "excluded"]
        return found.assign(replicate=found["replicate"].astype(int)).reset_index(drop=True)

    @cached_property
    def done(self) -> pd.DataFrame:
        return self.trials[(self.trials["status"] == "done") & self.trials["test_accuracy"].notna()]

    @cached_property
    def ended(self) -> set[tuple[str, int]]:
        """Cell and replicate of the trials that have a result or failed."""
        own = self.trials[self.trials["status"].isin(["done", "failed"])]
        return set(zip(own["cell"], own["replicate"], strict=True))

    @cached_property
    def grid(self) -> Mapping[str, Any]:
        return dict(yaml.safe_load((self.folder / "grid.yaml").read_text(encoding="utf-8")))

    @cached_property
    def factors(self) -> list[str]:
        """Names of the factors, those that change together joined: columns of `results.csv`."""
        tied = [list(names) for names in self.grid.get("paired", ())]
        alone = [name for name in self.grid.get("factors", {}) if not any(name in names for names in tied)]
        names = {*alone, *(" + ".join(names) for names in tied)}
        return [name for name in self.trials.columns if name in names]

    @cached_property
    def cells(self) -> dict[str, tuple[str, ...]]:
        """The levels of each cell, the baseline first."""
        first = self.trials.drop_duplicates("cell")
        rows = first[self.factors].itertuples(index=False, name=None)
        return dict(zip(first["cell"], (tuple(map(str, row)) for row in rows), strict=True))

    @property
    def baseline(self) -> str:
        return next(iter(self.cells))

    @cached_property
    def accuracies(self) -> dict[str, dict[int, float]]:
        return self.metric("test_accuracy")

    def metric(self, name: str) -> dict[str, dict[int, float]]:
        """By cell and replicate."""
        found: dict[str, dict[int, float]] = {cell: {} for cell in self.cells}
        for cell, replicate, value in self.done[["cell", "replicate", name]].itertuples(index=False):
            found[cell][replicate] = value
        return found

    def untested(self, cells: Iterable[str]) -> bool:
        """Whether one of these cells has failed trials, and the grid does not state how they count."""
        failed = set(self.trials.loc[self.trials["status"] == "failed", "cell"])
        return self.grid.get("failures", "undecided") == "undecided" and not failed.isdisjoint(cells)

    @property
    def margin(self) -> float:
        """The smallest margin of a claim on test accuracy, or half a point."""
        margins = [
            float(claim["margin"])
            for claim in self.grid.get("claims", ())
            if claim.get("margin") and claim.get("metric", "test_accuracy") == "test_accuracy"
        ]
        return min(margins, default=0.005)

    def history(self) -> pd.DataFrame:
        found = self._csv("history.csv")
        numbers = [name for name in found if name not in ("stage", "key")]
        return self._with_full_keys(found.assign(**{name: pd.to_numeric(found[name]) for name in numbers}))

    def expert_load(self) -> pd.DataFrame:
        found = self._csv("expert_load.csv")
        numbers = {name: pd.to_numeric(found[name]) for name in ("block", "expert", "share")}
        return self._with_full_keys(found.assign(**numbers))

    def _with_full_keys(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Of the keys in results.csv, of which the rows have the first digits."""
        full = {*self.trials["key"], *self.trials["pretrain_key"]} - {""}
        known = {short: next(key for key in full if key.startswith(short)) for short in rows["key"].unique()}
        return rows.assign(key=rows["key"].map(known))

    def has(self, file: str) -> bool:
        return (self.folder / file).is_file()

    def derived(self, file: str) -> pd.DataFrame:
        """A derived file as text."""
        if file not in self._derived:
            self._derived[file] = self._csv(file)
        return self._derived[file]

    def _csv(self, file: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / file, dtype=str, keep_default_na=False)


def differences(raw: Raw, expected: Iterable[Expected]) -> list[Difference]:
    """Those whose file has something else, or no such row or column."""
    found, rows = [], dict[tuple[str, tuple[str, ...]], dict[Key, Any]]()
    for one in expected:
        table, names = raw.derived(one.file), tuple(one.row)
        if (one.file, names) not in rows:
            keys = zip(*(table[name] for name in names), strict=True)
            rows[one.file, names] = {
                tuple(zip(names, key, strict=True)): row for key, (_, row) in zip(keys, table.iterrows(), strict=True)
            }
        row = rows[one.file, names].get(tuple((name, str(value)) for name, value in one.row.items()))
        text = "no such row" if row is None else row.get(one.column, "no such column")
        if not _same(text, one):
            found.append(Difference(one, text))
    return found


def _same(text: str, one: Expected) -> bool:
    if isinstance(one.value, str | bool):
        return text == str(one.value)
    try:
        number = float(text) if text else math.nan
    except ValueError:
        return False
    if math.isnan(one.value) or math.isnan(number):
        return math.isnan(one.value) and math.isnan(number)
    return math.isclose(number, one.value, rel_tol=one.relative, abs_tol=one.absolute)
