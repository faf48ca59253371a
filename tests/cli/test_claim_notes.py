"""What `plan` announces of claims and contrasts on several data sets, and that the report does as announced."""

import io
from pathlib import Path
from typing import Any

from helpers.data_set_studies import accuracy, crossed
from helpers.looks import make_plan
from helpers.report_samples import KV_HEADS, analysed, make_study
from rich.console import Console

from study.analysis.data_set_verdicts import ACROSS
from study.cli.plan import as_json, show
from study.design.study import Study
from study.store.results import Store

CLAIMS: list[dict[str, Any]] = [
    {"claim": "one head", "kind": "greater", "cells": {"kv heads": 1}},
    {"claim": "on two", "kind": "less", "cells": {"kv heads": 4}, "where": {"images": ["digits", "mnist"]}},
    {"claim": "on one", "kind": "less", "cells": {"kv heads": 4}, "where": {"images": "mnist"}},
    {"claim": "harder", "kind": "less", "cells": {"images": "fashion"}},
    {"claim": "smaller", "kind": "less", "cells": {"kv heads": 1}, "metric": "params"},
]
COMPARE = [{"cells": {"images": "mnist"}}, {"cells": {"kv heads": 4}}]


def announced(study: Study, folder: Path) -> dict[str, Any]:
    return as_json(make_plan(study, Store(folder / "empty")))


def test_verdicts_on_each_data_set_are_announced_as_they_are_made(tmp_path: Path) -> None:
    study = crossed(tmp_path, claims=CLAIMS, compare=COMPARE)
    plan, analysis = announced(study, tmp_path), analysed(study, tmp_path / "store", accuracy)
    made = analysis.data_set_verdicts
    assert len(made) == 5
    end = "; p-values of these 5 verdicts are adjusted together"
    notes = {claim["claim"]: claim["notes"] for claim in plan["claims"]}
    assert notes == {
        "one head": [f"also judged on each data set (digits, mnist, fashion){end}"],
        "on two": [f"also judged on each data set (digits, mnist){end}"],
        "on one": [],
        "harder": [ACROSS],
        "smaller": [],
    }
    for claim, own in made.groupby("claim"):
        assert f"({', '.join(own['data_set'])})" in notes[claim][0]
    assert ACROSS in analysis.verdicts.set_index("claim").loc["harder", "note"]
    assert plan["compare_notes"] == [[ACROSS], []]
    assert [ACROSS in note for note in analysis.level_contrasts["note"]] == [True, False]


def test_the_notes_are_below_their_claims(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=300)
    show(make_plan(crossed(tmp_path, claims=CLAIMS[:1], compare=COMPARE[:1]), Store(tmp_path / "store")), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    start = next(i for i, line in enumerate(lines) if line.startswith("claim 1: one head"))
    assert lines[start + 2].startswith("  also judged on each data set (digits, mnist, fashion); p-values of these 3 ")
    assert lines[start + 4] == f"  {ACROSS}"


def test_a_study_on_one_data_set_has_none(tmp_path: Path) -> None:
    plan = announced(make_study(tmp_path, KV_HEADS, claims=CLAIMS[:1], compare=COMPARE[1:]), tmp_path)
    assert (plan["claims"][0]["notes"], plan["compare_notes"]) == ([], [[]])
