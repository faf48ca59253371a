"""What the name of a study stands for: another study with the same name is noticed before it replaces the first.

STORE/studies/NAME.json has it for the grid that was run last. Growing a study is no conflict (see `conflict`).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from study.design.study import Study
from study.planning.recorded_grids import record_grid
from study.store.results import Store
from study.utils import json_text
from study.utils.text import plural

SameData = Callable[[str, str], bool]  # whether two names of data sets are of the same data


@dataclass(frozen=True)
class Identity:
    """A study's grid file, question, factors with tuned or searched parameters, and settings of the baseline.

    `question` and `grid` are empty where they are not known.
    """

    grid: str = ""  # its absolute path; in a report, relative to the working directory of then
    question: str = ""
    varied: tuple[str, ...] = ()
    baseline: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> "Identity":
        settings = study.baseline.settings
        parameters = study.space.parameters if study.space else ()
        return cls(
            str(study.path.resolve()),
            study.grid.question,
            (*(factor.name for factor in study.factors), *(parameter.name for parameter in parameters)),
            settings.model_dump(mode="json") if settings else {},
        )

    @classmethod
    def recorded(cls, data: bytes | None) -> "Identity | None":
        """From the store; None without a record, or if it is damaged."""
        found = _mapping(data) or {}
        try:
            return cls(**{**found, "varied": tuple(found["varied"])})
        except (TypeError, KeyError):
            return None

    @classmethod
    def of_report(cls, data: bytes | None) -> "Identity | None":
        """From the `study.json` of a report, of earlier versions, too; None if it is missing or damaged."""
        found = _mapping(data)
        if found is None:
            return None
        parameters = (found.get("tuning") or {}).get("parameters", [])
        names = [item["name"] for item in [*found.get("factors", []), *parameters] if "name" in item]
        question, baseline = str(found.get("question", "")), found.get("baseline") or {}
        return cls(str(found.get("grid", "")), question, tuple(names), baseline)

    def is_same_file(self, other: "Identity") -> bool:
        """Whether `other` is from the same grid file, also if its project was moved since."""
        if other.grid == self.grid or self.grid.endswith(f"/{other.grid}"):
            return True
        return Path(other.grid).name == Path(self.grid).name and not Path(other.grid).exists()


def known(study: Study, store: Store) -> Identity | None:
    """What the store has for the study's name. Raises StoreError."""
    return Identity.recorded(store.read(_path(study)))


def record(study: Study, store: Store) -> None:
    """Record a study that is run, and its grid. Raises StoreError."""
    record_grid(study, store)
    if known(study, store) != Identity.of(study):
        store.write(_path(study), json.dumps(asdict(Identity.of(study)), indent=1).encode())


def conflict(before: Identity, now: Identity, same_data: SameData) -> str:
    """How `now` differs from the study that had its name before, as `question: ...`; empty for the same study.

    The same study may gain factors, levels, replicates and claims, from any grid file. In its own file, also the
    baseline may change, and either the question or the factors; all of them make another study.
    Data are the same by `same_data`, wherever they are.
    """
    found = list(_differences(before, now, same_data))
    if before.is_same_file(now) or now.is_same_file(before):
        kinds = {kind for kind, _ in found}
        return "; ".join(text for _, text in found) if {"question", "factors"} <= kinds else ""
    return "; ".join(text for _, text in found)


def _differences(before: Identity, now: Identity, same_data: SameData) -> Iterator[tuple[str, str]]:
    if before.question and before.question.split() != now.question.split():
        yield "question", f"its question is {before.question!r}, here {now.question!r}"
    if lost := [name for name in before.varied if name not in now.varied]:
        are = "is" if len(lost) == 1 else "are"
        yield "factors", f"its {plural(len(lost), 'factor')} {', '.join(lost)} {are} not varied here"
    if change := next(_changes(before.baseline, now.baseline, same_data), None):
        yield "baseline", f"its baseline differs: {change}"


def _changes(before: Any, now: Any, same_data: SameData, path: str = "") -> Iterator[str]:
    """Settings that both have and that differ; a version may add or remove settings."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in before:
            if name in now:
                yield from _changes(before[name], now[name], same_data, f"{path}.{name}")
    elif before != now and not (isinstance(before, str) and isinstance(now, str) and same_data(before, now)):
        yield f"{path[1:]} is {_short(before)}, here {_short(now)}"


def _short(value: Any) -> str:
    return "a section" if isinstance(value, Mapping) else json.dumps(value)


def _mapping(data: bytes | None) -> dict[str, Any] | None:
    try:
        found = json_text.parse(data or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _path(study: Study) -> str:
    return f"studies/{study.name}.json"
