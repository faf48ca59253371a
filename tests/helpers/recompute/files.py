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
WORST = {"test_accuracy": 0.0, "val_accuracy": 0.0}  # what a failed trial counts as with `failures: worst`
DATA_SET = "finetune.dataset"
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
    def counted(self) -> pd.DataFrame:
        """The trials that count in comparisons: those that are done, and failed ones if the grid counts them as the
        worst."""
        if self.grid.get("failures") != "worst":
            return self.done
        failed = self.trials["status"] == "failed"
        values = {name: self.trials[name].mask(failed, worst) for name, worst in WORST.items()}
        own = self.trials.assign(**values)
        return own[(failed | (self.trials["status"] == "done")) & own["test_accuracy"].notna()]

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
        for cell, replicate, value in self.counted[["cell", "replicate", name]].itertuples(index=False):
            if math.isfinite(value):
                found[cell][replicate] = value
        return found

    @cached_property
    def data_set_factor(self) -> str | None:
        """The factor whose levels set the data set of fine-tuning, if cells are on several."""
        own = {name: set(sets.values()) for name, sets in self._level_data_sets.items()}
        return next((name for name, sets in own.items() if len(sets) > 1), None)

    @cached_property
    def _level_data_sets(self) -> dict[str, dict[str, str]]:
        """By factor, the data set of each level that has cells."""
        base = self.grid["baseline"]["finetune"]["dataset"]
        found = {}
        for i, name in enumerate(self.factors):
            spec = self.grid["factors"].get(name, {"levels": []})
            written = dict(_fields(spec, level) for level in spec["levels"])
            found[name] = {
                label: written.get(label, {}).get(DATA_SET, base) for label in {own[i] for own in self.cells.values()}
            }
        return found

    @cached_property
    def data_sets(self) -> dict[str, str]:
        """The data set of each cell; empty if all are on one."""
        factor = self.data_set_factor
        if factor is None:
            return {}
        i = self.factors.index(factor)
        return {cell: self._level_data_sets[factor][levels[i]] for cell, levels in self.cells.items()}

    @cached_property
    def sets(self) -> "dict[str, Raw]":
        """The results on each data set, by its name: the label of its level, or its own name if several have it."""
        factor, found = self.data_set_factor, dict[str, Raw]()
        if factor is None:
            return found
        i = self.factors.index(factor)
        for data_set in dict.fromkeys(self.data_sets.values()):
            cells = [cell for cell, own in self.data_sets.items() if own == data_set]
            labels = list(dict.fromkeys(self.cells[cell][i] for cell in cells))
            found[labels[0] if len(labels) == 1 else data_set] = self._within(cells, factor, len(labels) == 1)
        return found

    def _within(self, cells: list[str], factor: str, alone: bool) -> "Raw":
        """These cells as a study, without the factor if they have one level of it; its baseline comes first."""
        part, i = Raw(self.folder), self.factors.index(factor)
        part.factors = [name for name in self.factors if not (alone and name == factor)]
        others = {cell: (*levels[:i], *levels[i + 1 :]) for cell, levels in self.cells.items()}
        order = sorted(cells, key=lambda cell: others[cell] != others[self.baseline])
        own = self.trials[self.trials["cell"].isin(cells)]
        part.trials = own.sort_values("cell", key=lambda names: names.map(order.index), kind="stable")
        return part

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


def _fields(spec: Mapping[str, Any], level: Any) -> tuple[str, dict[str, Any]]:
    """The label of a level as the grid has it, and the fields that it sets, by dotted path."""
    written = level if isinstance(level, Mapping) and "label" in level else {"label": level, "value": level}
    fields = dict(written.get("set") or {})
    if "value" in written and "path" in spec:
        fields[spec["path"]] = written["value"]
    for section, values in list(fields.items()):
        if isinstance(values, Mapping):
            fields |= {f"{section}.{name}": value for name, value in values.items()}
    return "none" if written["label"] is None else str(written["label"]), fields


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
