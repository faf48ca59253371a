"""Checks every file of a study's stored stages against the checksums it was written with, and what they were trained on
against what lies there now."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from study.design.stages import Stage, unique_stages
from study.design.study import Study
from study.planning.trials import StageNames, everything
from study.store.results import CorruptError, Store
from study.utils.errors import StudyError
from study.vit import subject

THREADS = 16  # reading and hashing let other threads run; a store at an address is waited for


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is not as it should be: stages with the reason."""

    looked_at: int
    missing: int  # not stored
    damaged: list[tuple[Stage, str]]
    outdated: list[tuple[Stage, str]]  # whole, but trained on data that have changed since

    @property
    def fine(self) -> int:
        return self.looked_at - len(self.damaged) - len(self.outdated)


def verify(study: Study, store: Store, weights: bool = True) -> Verified:
    """Read all stored stages of a study; without `weights` the small files alone. Raises StoreError."""
    stored = store.keys()
    stages = unique_stages(everything(study, store))
    present = [stage for stage in stages if stage.key in stored]
    with ThreadPoolExecutor(THREADS) as pool:
        reasons = list(pool.map(lambda stage: _damage(stage, store, weights), present))
    damaged = [(stage, reason) for stage, reason in zip(present, reasons, strict=True) if reason]
    whole = [stage for stage, reason in zip(present, reasons, strict=True) if not reason]
    return Verified(len(present), len(stages) - len(present), damaged, _outdated(whole, store))


def discard_damaged(study: Study, store: Store, console: Console) -> None:
    """Remove damaged stages, so that they are computed again. Raises StoreError."""
    for stage, reason in verify(study, store).damaged:
        store.discard(stage)
        console.print(f"[yellow]removed[/]  {escape(reason)}", highlight=False)


def show(study: Study, store: Store, console: Console) -> int:
    """Verify and say what was found. Returns the exit code: 1 where a stage is not as it should be."""
    with console.status("reading all stored stages"):
        found = verify(study, store)
    say(found, StageNames(study, store), study, console)
    missing = f", {found.missing} not run yet" if found.missing else ""
    console.print(f"{found.fine} of {found.looked_at} stored stages are whole{missing}", highlight=False)
    return int(found.fine < found.looked_at)


def say(found: Verified, names: StageNames, study: Study, console: Console) -> None:
    """One line per stage that is not as it should be, and the way out."""
    for stage, reason in found.damaged:
        console.print(f"[red]damaged[/]  {escape(names[stage.key])}: {escape(reason)}", highlight=False)
    if found.damaged:
        console.print(
            "damaged stages are not used, and their trials count as failed; to compute them again: "
            f"python -m study run {escape(str(study.path))} --recompute-damaged",
            highlight=False,
        )
    for stage, reason in found.outdated:
        console.print(f"[yellow]outdated[/]  {escape(names[stage.key])}: {escape(reason)}", highlight=False)
    if found.outdated:
        console.print(
            "outdated results are used as they are, and not computed again: put the data back, or give the new ones a "
            "path of their own, by which results are kept",
            highlight=False,
        )


def _damage(stage: Stage, store: Store, weights: bool) -> str | None:
    try:
        if store.find(stage) is not None and weights:
            store.check(stage)
    except CorruptError as error:
        return error.reason
    return None


def _outdated(stages: list[Stage], store: Store) -> list[tuple[Stage, str]]:
    """Those of which data have changed under their path, and those that start from them. Data that are not to be had
    here cannot have changed."""
    present: dict[tuple[str, int], str | None] = {}
    found = []
    for stage in stages:
        for one in filter(None, (stage.parent, stage)):
            name, place = one.dataset, one.settings.data
            if not subject.is_own_data(name):
                continue
            if place not in present:
                present[place] = _digest(one)
            if present[place] and _trained_on(one, store) not in (None, present[place]):
                found.append((stage, f"{name} is not what it was when this was computed"))
                break
    return found


def _digest(stage: Stage) -> str | None:
    try:
        return subject.data_digest(stage.settings)
    except StudyError:
        return None


def _trained_on(stage: Stage, store: Store) -> str | None:
    try:
        result = store.find(stage)
    except CorruptError:
        return None
    return str(result.provenance["data"]) if result is not None and "data" in result.provenance else None
