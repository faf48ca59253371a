"""A stage as `study show` prints it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import yaml
from rich.console import Console

from study.cli.sparkline import sparkline
from study.cli.when_and_where import when_and_where
from study.planning.stored_studies import StoredStudies, Use
from study.store.results import Failure, Result, Store
from study.utils.errors import StudyError
from study.utils.escape import terminal as escape
from study.utils.formats import significant

NO_CURVES = ("epoch", "seconds", "learning_rate")  # of a history


@dataclass(frozen=True)
class StageView:
    """A stage that has a result, is damaged, or has failed."""

    key: str
    kind: str
    spec: Mapping[str, Any]
    place: str  # of its files; empty without a result
    files: Mapping[str, int]  # sizes in bytes
    result: Result | None
    failure: Failure | None
    problem: str  # why a stored result cannot be used
    uses: list[Use]
    children: list[str]

    @classmethod
    def of(cls, key: str, store: Store, studies: StoredStudies) -> "StageView":
        """Raises StudyError if the record of the stage is damaged, and StoreError."""
        stage = store.recorded_stage(key)
        result, problem = None, ""
        try:
            result = store.find(stage)
        except StudyError as error:
            problem = str(error)
        stored = result is not None or bool(problem)
        files = {}
        if stored:
            with store.folder(stage) as folder:
                files = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        return cls(
            key=key,
            kind=stage.kind,
            spec=stage.spec(),
            place=store.storage.location(f"{stage.kind}/{key}") if stored else "",
            files=files,
            result=result,
            failure=None if stored else store.last_failure(stage),
            problem=problem,
            uses=studies.uses(key),
            children=studies.children(key),
        )

    @property
    def parent(self) -> str | None:
        """The key of the stage whose weights it starts from."""
        from study.design.stages import Stage

        parent = self.spec["parent"]
        return Stage.from_spec(parent).key if parent else None

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "stage": self.kind,
            "settings": _without_parent(self.spec),
            "parent": self.parent,
            "children": self.children,
            "used_by": [asdict(use) for use in self.uses],
            "place": self.place,
            "files": dict(self.files),
            "problem": self.problem,
            "result": self.result and asdict(self.result),
            "failure": self.failure and asdict(self.failure),
        }

    def show(self, console: Console) -> None:
        for line in self._lines():
            console.print(escape(line), highlight=False, soft_wrap=True)

    def _lines(self) -> Iterator[str]:
        yield f"{self.kind} {self.key}"
        yield from self._relations()
        if self.problem:
            yield f"problem: {self.problem}"
        if self.failure is not None:
            yield f"failed: {when_and_where(self.failure.provenance)}"
            yield from (f"  {line}" for line in self.failure.error.strip().splitlines())
        if self.result is not None:
            yield from _result_lines(self.result)
            yield f"model: study.load({self.key[:12]!r})"
        if self.place:
            yield f"files: {self.place}"
            yield from (f"  {name}  {size:,} bytes" for name, size in self.files.items())
        yield "settings:"
        text = yaml.safe_dump(_without_parent(self.spec), sort_keys=False, allow_unicode=True)
        yield from (f"  {line}" for line in text.splitlines())

    def _relations(self) -> Iterator[str]:
        if self.parent:
            yield f"starts from: pretrain {self.parent}"
        yield from (f"start from it: {key}" for key in self.children)
        yield from (f"used by: {use}" for use in self.uses)
        if not self.uses:
            yield "used by: no study whose grid this store has"


def _result_lines(result: Result) -> Iterator[str]:
    known = result.provenance
    yield f"computed: {when_and_where(known)}"
    for name in ("data", "platform", "instruction_set", "blas", "threads", "micro_batch"):
        if known.get(name):
            yield f"{name.replace('_', ' ')}: {known[name]}"
    if versions := known.get("versions"):
        yield "versions: " + ", ".join(f"{name} {version}" for name, version in versions.items())
    yield from (f"note: {note}" for note in known.get("notes") or ())
    yield from (f"{name}: {significant(value, 4)}" for name, value in {**result.metrics, **result.facts}.items())
    yield from _curves(result.history)


def _curves(history: list[dict[str, float]]) -> Iterator[str]:
    """Each metric over the epochs: its bars, its first and last value."""
    names = [name for name in dict.fromkeys(key for row in history for key in row) if name not in NO_CURVES]
    width = max(map(len, names), default=0)
    for name in names:
        values = [row.get(name, math.nan) for row in history]
        yield f"{name:<{width}}  {sparkline(values)}  {significant(values[0], 4)} to {significant(values[-1], 4)}"


def _without_parent(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "parent"}
