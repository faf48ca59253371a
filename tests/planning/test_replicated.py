"""The original of a replication in the store, and how many replicates a replication needs."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.looks import collect, make_plan
from helpers.report_samples import KV_HEADS, make_study, put
from rich.console import Console

from study.analysis.stats.forecast import Spread, replicates_to_decide
from study.cli.plan import as_json
from study.cli.replicate import replicate
from study.design.replication import write_replication
from study.design.study import Study, Trial, expand, load
from study.planning.replicated import default_replicates, original
from study.planning.state import StudyState
from study.report import analyse
from study.report.replication import sentence
from study.report.sections import Text, outline
from study.store.results import Store
from study.utils.command_line import UNKNOWN

CLAIMS = [
    {"claim": "one head is worse", "kind": "less", "cells": {"kv heads": 1}},
    {"claim": "four heads are better", "kind": "greater", "cells": {"kv heads": 4}},
    {"claim": "fewer parameters", "kind": "less", "cells": {"kv heads": 1}, "metric": "params"},
]
NOISE = (0.0, 0.001, -0.001)  # of the differences: SD 0.1 points, so 1 point has t = 17.3


def pair(folder: Path) -> tuple[Study, Study]:
    first = make_study(folder, KV_HEADS, study="first", claims=CLAIMS)
    (folder / "again.yaml").write_text(write_replication(first, "again", 3))
    return first, load(folder / "again.yaml")


def fill(store: Store, study: Study, gains: Sequence[float]) -> None:
    """Differences of the cells with one and four heads from the baseline, in points."""
    for trial in expand(study):
        put(store, trial, 0.8 + gain(trial, gains))


def gain(trial: Trial, gains: Sequence[float]) -> float:
    if not trial.cell.changed:
        return 0.0
    return 0.01 * gains[trial.cell.labels["kv heads"] == "4"] + NOISE[trial.replicate % 3]


def answer(study: Study, store: Store) -> str:
    return sentence(analyse(collect(study, store)))


def test_verdicts_that_held_and_that_did_not(tmp_path: Path) -> None:
    first, again = pair(tmp_path)
    store = Store(tmp_path / "store")
    fill(store, first, (-1, 1))
    fill(store, again, (-1, 0))
    assert answer(first, store) == ""
    assert answer(again, store) == (
        "1 of 2 verdicts of the study first held; not held: claim 2 (supported there, undecided here). Both studies "
        "are judged by the claims of this one, each on its own results alone."
    )


def test_verdicts_that_were_undecided(tmp_path: Path) -> None:
    first, again = pair(tmp_path)
    store = Store(tmp_path / "store")
    fill(store, first, (-1, 0))
    fill(store, again, (-1, 1))
    assert answer(again, store).startswith(
        "1 of 1 verdict of the study first held; undecided there: claim 2 (supported here). "
    )


def test_an_original_without_any_decision(tmp_path: Path) -> None:
    first, again = pair(tmp_path)
    store = Store(tmp_path / "store")
    fill(store, first, (0, 0))
    fill(store, again, (0, 0))
    assert answer(again, store).startswith(
        "no claim was decided in the study first; undecided there: claim 1 (undecided here), claim 2 (undecided here). "
    )


def test_an_original_that_is_not_in_this_store(tmp_path: Path) -> None:
    _, again = pair(tmp_path)
    store = Store(tmp_path / "store")
    fill(store, again, (-1, 0))
    assert answer(again, store) == (
        "the results of the study first are not in this store, so no verdicts can be compared."
    )


def section(study: Study, store: Store, title: str) -> str:
    cells = outline(analyse(collect(study, store)))
    return next(cell.source for cell in cells if isinstance(cell, Text) and cell.title == title)


def test_the_report_has_the_command_that_replicates_the_study_and_what_it_replicates(tmp_path: Path) -> None:
    first, again = pair(tmp_path)
    store = Store(tmp_path / "store")
    assert "python -m study replicate again.yaml\n" in section(first, store, "How to reproduce")
    assert "This study replicates" not in section(first, store, "Design")
    found = section(again, store, "Design")
    own = f"it tests claims again with seeds of its own, whose base is {again.grid.seed} instead of 0."
    assert f"This study replicates **first**: {own}" in found


@pytest.mark.parametrize(
    ("claims", "replicates", "command"),
    [
        ([CLAIMS[2]], 3, None),  # no replicate decides it
        ([], 3, None),
        (CLAIMS, {"min": 2, "max": 6, "until": "claims"}, "replicate again.yaml --replicates 6"),
    ],
)
def test_the_command_of_the_report_works_as_it_is(
    claims: list[object], replicates: object, command: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = make_study(tmp_path, KV_HEADS, study="x" * 60, claims=claims, replicates=replicates)
    found = section(study, Store(tmp_path / "store"), "How to reproduce")
    lines = [line for line in found.splitlines() if " study replicate " in line]
    assert len(lines) == (command is not None)
    for line in lines:
        assert line == f"python -m study {command}"
        (tmp_path / "again.yaml").write_text(study.path.read_text())
        state = StudyState.look(load(tmp_path / "again.yaml"), Store(tmp_path / "store"))
        replicate(state, 6, None, None, UNKNOWN, Console())
        assert load(tmp_path / f"{'x' * 52}-replication.yaml").grid.most_replicates == 6


def test_nothing_of_the_original_enters_the_estimates(tmp_path: Path) -> None:
    first, again = pair(tmp_path)
    alone, both = Store(tmp_path / "alone"), Store(tmp_path / "both")
    fill(both, first, (-5, 5))
    for store in (alone, both):
        fill(store, again, (-1, 0))
    left, right = (analyse(collect(again, store)).verdicts for store in (alone, both))
    assert left.drop(columns=["results_before"]).equals(right.drop(columns=["results_before"]))


def test_the_plan_states_that_no_stage_is_shared(tmp_path: Path) -> None:
    first, again = pair(tmp_path)
    store = Store(tmp_path / "store")
    fill(store, first, (-1, 0))
    plan = make_plan(again, store)
    assert plan.original is not None
    assert (plan.original.name, plan.original.shared, plan.original.verdicts) == (
        "first",
        0,
        ("supported", "undecided"),
    )
    assert not plan.done
    assert as_json(plan)["replication"] == {"of": "first", "shared_stages": 0}
    assert original(StudyState.look(first, store)) is None


def test_the_default_number_of_replicates(tmp_path: Path) -> None:
    """Without results that of the grid; with them as many as each claim needs that can be decided at all.

    Claim 2: difference 0.1 points, SD 0.1 points, level 0.025; claim 1 is already decided by few.
    """
    first, _ = pair(tmp_path)
    assert default_replicates(StudyState.look(first, Store(tmp_path / "none"))) == 3
    store = Store(tmp_path / "store")
    fill(store, first, (-1, 0.1))
    needed = replicates_to_decide(first.grid.claims[1].region, 0.001, Spread.of(0.001, 2), 0.025).middle
    assert needed is not None
    assert needed > 3
    assert default_replicates(StudyState.look(first, store)) == needed
    hopeless = Store(tmp_path / "hopeless")
    fill(hopeless, first, (-1, 1e-4))
    assert default_replicates(StudyState.look(first, hopeless)) == pytest.approx(3)
