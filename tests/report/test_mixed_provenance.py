"""Which cells have results of which commit, device and libraries."""

from pathlib import Path
from typing import Any

from helpers.looks import collect
from helpers.report_samples import BASELINE, COMMITS, HOSTILE, KV_HEADS, make_study, put

from study.analysis.facts import StudyFacts
from study.design.study import Study, expand
from study.report import analyse
from study.report.mixed_provenance import MOST, mixture
from study.report.sections import Text, outline
from study.report.summary import answers
from study.store.results import Store

SCRATCH = {**BASELINE, "pretrain": None}


def facts_of(study: Study, folder: Path, *origins: dict[str, Any]) -> StudyFacts:
    """Facts of a study whose i-th trial has the i-th origin; all further trials have the last."""
    store = Store(folder / "store")
    for i, trial in enumerate(expand(study)):
        put(store, trial, 0.9, **origins[min(i, len(origins) - 1)])
    return collect(study, store).facts


def test_one_provenance_gives_no_sentence(tmp_path: Path) -> None:
    facts = facts_of(make_study(tmp_path, KV_HEADS), tmp_path, {"threads": 1}, {"threads": 2})
    assert len(facts.origins) == 2
    assert list(mixture(facts)) == []


def test_cells_are_listed_by_commit_and_those_of_both_are_marked(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS, baseline=SCRATCH, replicates=2)
    # replicate by replicate: the second trial of the baseline is the fourth
    old = {"commit": COMMITS[0], "started": "2026-01-01T00:00:00+00:00"}
    facts = facts_of(study, tmp_path, old, old, old, old, {"commit": COMMITS[1]})
    assert list(mixture(facts)) == [
        "Results from 2 commits: 0123456789ab for baseline, kv heads=1 (some stages), kv heads=4 (some stages); "
        "fedcba987654-dirty for kv heads=1 (some stages), kv heads=4 (some stages)."
    ]


def test_devices_and_only_those_libraries_that_differ_are_named(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS, baseline=SCRATCH, replicates=1)
    one = {"device": "a", "versions": {"python": "3.11.2", "torch": "2.13.0", "ray": "2"}}
    two = {"device": "b", "versions": {"python": "3.11.2", "torch": "2.14.0"}}
    found = list(mixture(facts_of(study, tmp_path, one, two)))
    assert found[0] == "Results from 2 devices: a for baseline; b for kv heads=1, kv heads=4."
    assert found[1] == (
        "Results from 2 sets of library versions: ray 2, torch 2.13.0 for baseline; ray –, torch 2.14.0 for "  # noqa: RUF001
        "kv heads=1, kv heads=4."
    )


def test_many_cells_are_cut(tmp_path: Path) -> None:
    factor = {"width": {"path": "encoder.ffn_width_first", "levels": [48, *range(50, 70, 2)]}}
    study = make_study(tmp_path, factor, baseline=SCRATCH, replicates=1)
    (found,) = mixture(facts_of(study, tmp_path, {}, {"commit": COMMITS[1]}))
    assert found.count("width=") == MOST
    assert found.endswith("and 4 more.")


def test_mixed_provenance_is_the_first_answer_and_the_last_commit_is_checked_out(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS, baseline=SCRATCH, replicates=1)
    late = {"commit": f"{HOSTILE};x", "started": "2027-01-01T00:00:00+00:00"}
    store = Store(tmp_path / "store")
    for trial, origin in zip(expand(study), ({}, late, late), strict=True):
        put(store, trial, 0.9, **origin)
    results = analyse(collect(study, store))
    assert answers(results)[0].about == "Mixed provenance"
    assert answers(results)[0].text.endswith("may be due to this.")
    again = next(cell.source for cell in outline(results) if isinstance(cell, Text) and "reproduce" in cell.title)
    assert "git checkout '=1+a|b_c" in again
    assert "Copy it to again.yaml in a clone of the project" in again
