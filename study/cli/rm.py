"""The verb `rm`: removes a study, its own stages, records, report and MLflow experiment; shared stages stay."""

import difflib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from study import tracking
from study.analysis.results import FACTS_FILE
from study.cli.gc import total
from study.design.study import Study, load
from study.planning.contents import Contents
from study.planning.recorded_grids import recorded_study, study_names
from study.planning.study_identity import Identity, conflict
from study.planning.uses import Uses, known_uses, uses_of
from study.store.active import driver_of
from study.store.heartbeats import forget_mirrors
from study.store.items import Item, list_items, remove
from study.store.results import Store
from study.utils.errors import StudyError
from study.utils.escape import terminal as escape
from study.utils.paths import expanded
from study.utils.redact import masked
from study.utils.text import plural


@dataclass(frozen=True)
class Target:
    """A study to be removed. `grids` are those whose stages are its own; without one, its stages stay."""

    name: str
    grids: tuple[Study, ...]
    identity: Identity | None
    problem: str = ""  # why its recorded grid cannot be used

    @classmethod
    def find(cls, written: str, store: Store) -> "Target":
        """The study of a grid file, or with this name. Raises StudyError if the store has no such study."""
        names, given = study_names(store), _grid(written)
        name = given.name if given else written
        if name not in names:
            close = difflib.get_close_matches(name, sorted(names), n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else "`study list` shows its studies"
            what = f"{name!r} of {written} is not" if given else f"{written!r} is neither a grid file nor"
            raise StudyError(f"{what} a study in {store}; {hint}")
        recorded = recorded_study(name, store)
        identity = Identity.recorded(store.read(f"studies/{name}.json"))
        if given and identity and (difference := conflict(identity, Identity.of(given), Contents(store).same)):
            raise StudyError(
                f"{given.path}: {name!r} is the name of another study in {store}, of the grid {identity.grid}: "
                f"{difference}. To remove that one, give its name"
            )
        grids = tuple(study for study in (recorded.study, given) if study)
        return cls(name, grids, identity or (Identity.of(grids[0]) if grids else None), recorded.problem)


@dataclass(frozen=True)
class Removal:
    """What belongs to a study alone."""

    target: Target
    store: Store
    items: list[Item]
    shared: int  # stages and files that other known studies use, too
    report: Path | None
    experiment: tracking.StudyExperiment | None

    @classmethod
    def of(cls, target: Target, store: Store, reports: Path, uri: str) -> "Removal":
        """Raises StudyError if the study runs, its MLflow server does not answer, or what others use is unknown."""
        if driver := driver_of(target.name, store):
            raise StudyError(f"{target.name!r} is run by process {driver.pid} on {driver.host}; stop it first")
        uses, others = Uses(), Uses()
        if target.grids:
            others = known_uses(store, without=target.name)
        for study in target.grids:
            uses |= uses_of(study, store, alone=True)
        own = [item for item in list_items(store) if uses.has(item)]
        same = Contents(store).same
        report = reports / target.name
        return cls(
            target,
            store,
            [item for item in own if not others.has(item)],
            sum(others.has(item) for item in own),
            report if _is_report_of(target, report, store) else None,
            tracking.find_experiment(target.name, target.identity, same, uri, store),
        )

    def remove(self) -> None:
        """The experiment first: if the server fails, nothing else is removed. The record of the grid last: until then
        the command can be given again. Raises StudyError."""
        name = self.target.name
        if self.experiment is not None:
            self.experiment.remove()
        if self.report is not None:
            _remove_folder(self.report)
        remove(self.store, self.items)
        forget_mirrors(self.store, name)
        for folder in ("claims", "tracking"):
            self.store.remove_tree(f"{folder}/{name}")
        (self.store.root / "tracking" / f"{name}.jsonl").unlink(missing_ok=True)
        for path in (f"runs/{name}.json", f"studies/{name}.json", f"studies/{name}.yaml"):
            self.store.remove(path)

    def as_json(self, removed: bool) -> dict[str, Any]:
        experiment = self.experiment
        return {
            "study": self.target.name,
            "items": [{"kind": item.kind, "key": item.key, "bytes": item.size} for item in self.items],
            "bytes": sum(item.size for item in self.items),
            "shared": self.shared,
            "report": self.report and str(self.report),
            "experiment": experiment and {"server": masked(experiment.uri), "for_good": experiment.for_good},
            "removed": removed,
        }

    def show(self, removed: bool, console: Console) -> None:
        for line in (*self._lines(), "removed" if removed else "nothing was removed: add --yes to remove it"):
            console.print(escape(line), highlight=False, soft_wrap=True)

    def _lines(self) -> Iterator[str]:
        if not self.target.grids:
            yield f"the grid of {self.target.name} cannot be used ({self.target.problem}), so its stages stay"
        yield f"{self.target.name}: {total(self.items)}, and the records of its runs, claims and deliveries"
        if self.shared:
            yield f"{plural(self.shared, 'item')} that other studies use, too, will stay"
        if self.report is not None:
            yield f"report: {self.report}"
        if self.experiment is not None:
            how = "for good" if self.experiment.for_good else "as MLflow does: its trash keeps it"
            yield f"MLflow experiment: {self.target.name} at {masked(self.experiment.uri)}, {how}"


def _grid(written: str) -> Study | None:
    path = expanded(written)
    return load(path) if path.is_file() else None


def _is_report_of(target: Target, folder: Path, store: Store) -> bool:
    """Whether a folder has the report of this study, not of another one with its name."""
    try:
        found = Identity.of_report((folder / FACTS_FILE).read_bytes())
    except OSError:
        return False
    if found is None or folder.is_symlink():
        return False
    return target.identity is None or not conflict(found, target.identity, Contents(store).same)


def _remove_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StudyError(f"cannot remove {folder}: {error.strerror}; make it writable, then try again") from None
