"""Checks every file of a study's stored stages against the checksums it was written with."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape

from study.design import Study
from study.stages import Stage, unique_stages
from study.store import CorruptError, Store
from study.wanted import StageNames, everything

THREADS = 16  # reading and hashing let other threads run; a store at an address is waited for


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is damaged: stages with the reason."""

    looked_at: int
    missing: int  # not stored
    damaged: list[tuple[Stage, str]]


def verify(study: Study, store: Store, weights: bool = True) -> Verified:
    """Read all stored stages of a study; without `weights` the small files alone. Raises StoreError."""
    stored = store.keys()
    stages = unique_stages(everything(study, store))
    present = [stage for stage in stages if stage.key in stored]
    with ThreadPoolExecutor(THREADS) as pool:
        reasons = pool.map(lambda stage: _damage(stage, store, weights), present)
    damaged = [(stage, reason) for stage, reason in zip(present, reasons, strict=True) if reason]
    return Verified(len(present), len(stages) - len(present), damaged)


def discard_damaged(study: Study, store: Store, console: Console) -> None:
    """Remove damaged stages, so that they are computed again. Raises StoreError."""
    found = verify(study, store).damaged
    for stage, reason in found:
        store.discard(stage)
        console.print(f"[yellow]removed[/]  {escape(reason)}", highlight=False)


def show(study: Study, store: Store, console: Console) -> int:
    """Verify and say what was found. Returns the exit code: 1 where a stage is damaged."""
    with console.status("reading all stored stages"):
        found = verify(study, store)
    say(found.damaged, StageNames(study, store), study, console)
    missing = f", {found.missing} not run yet" if found.missing else ""
    whole = found.looked_at - len(found.damaged)
    console.print(f"{whole} of {found.looked_at} stored stages are whole{missing}", highlight=False)
    return int(bool(found.damaged))


def say(damaged: Iterable[tuple[Stage, str]], names: StageNames, study: Study, console: Console) -> None:
    """One line per damaged stage, and the way out."""
    damaged = list(damaged)
    for stage, reason in damaged:
        console.print(f"[red]damaged[/]  {escape(names[stage.key])}: {escape(reason)}", highlight=False)
    if damaged:
        console.print(
            "damaged stages are not used, and their trials count as failed; to compute them again: "
            f"python -m study run {escape(str(study.path))} --recompute-damaged",
            highlight=False,
        )


def _damage(stage: Stage, store: Store, weights: bool) -> str | None:
    try:
        if store.find(stage) is not None and weights:
            store.check(stage)
    except CorruptError as error:
        return error.reason
    return None
