"""How a report shows which code computed its results, and how it is to be reproduced without a commit."""

from dataclasses import replace
from pathlib import Path

from helpers.looks import collect
from helpers.report_samples import BASELINE, KV_HEADS, make_study, put

from study.design.study import expand
from study.report import analyse
from study.report.mixed_provenance import mixture
from study.report.sections import Text, outline
from study.report.tables import TABLES
from study.store.results import Store

SCRATCH = {**BASELINE, "pretrain": None}
ONE, OTHER = "1" * 64, "2" * 64


def made(folder: Path, *origins: dict[str, str]):
    """The results of three cells, the i-th with the i-th origin."""
    study, store = make_study(folder, KV_HEADS, baseline=SCRATCH, replicates=1), Store(folder / "store")
    for trial, origin in zip(expand(study), origins, strict=True):
        put(store, trial, 0.9, **origin)
    return collect(study, store)


def section(results, title: str) -> str:
    cells = outline(analyse(results))
    return next(cell.source for cell in cells if isinstance(cell, Text) and cell.title == title)


def test_results_have_the_start_of_the_digest_of_their_code(tmp_path: Path) -> None:
    results = made(tmp_path, {}, {"code": ONE}, {"code": OTHER})
    assert list(results.trials["code"]) == ["", ONE[:12], OTHER[:12]]
    table = TABLES["trials"].table(analyse(results)).plain()
    assert ONE[:12] in table
    origins = TABLES["origins"].table(analyse(results)).plain()
    assert OTHER[:12] in origins


def test_several_versions_of_the_code_are_mixed_provenance(tmp_path: Path) -> None:
    results = made(tmp_path, {"code": ONE}, {"code": OTHER}, {"code": OTHER})
    assert list(mixture(results.facts)) == [
        f"Results from 2 versions of the code: {ONE[:12]} for baseline; {OTHER[:12]} for kv heads=1, kv heads=4."
    ]


def test_unrecorded_code_is_one_neutral_sentence(tmp_path: Path) -> None:
    results = made(tmp_path, {}, {}, {"code": OTHER})
    assert list(mixture(results.facts)) == []
    assert results.facts.notices == (
        "1 of 3 results was computed by other code (its files are not recorded); to compute them again, add "
        "--recompute-outdated to `run`.",
    )
    assert section(results, "Provenance").count("unrecorded code") == 1
    assert "2 results of unrecorded code" in section(results, "Provenance")


def test_own_data_are_named_among_the_steps(tmp_path: Path) -> None:
    """They are not in a clone of the project, and may have another path there."""
    results = made(tmp_path, {}, {}, {})
    assert "own data" not in section(results, "How to reproduce")
    own = replace(results, facts=results.facts.model_copy(update={"data": ("imagefolder:shapes: 3 classes",)}))
    assert "correct the paths of its own data" in section(own, "How to reproduce")


def test_without_a_commit_the_version_and_the_digest_are_given(tmp_path: Path) -> None:
    known = {"commit": "unknown", "study": "0.1.0", "code": ONE}
    again = section(made(tmp_path, known, known, known), "How to reproduce")
    assert "git checkout" not in again
    assert f"version 0.1.0 of the package with the code digest `{ONE[:12]}`" in again
    (tmp_path / "old").mkdir()
    old = {"commit": "unknown"}
    assert "unknown version" in section(made(tmp_path / "old", old, old, old), "How to reproduce")
