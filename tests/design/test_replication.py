"""Grids of replications: the same cells and claims, another name, and seeds of their own."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.design.replication import fresh_seed, original_of, write_replication
from study.design.study import Study, load, replicate_seed
from study.utils.errors import StudyError

GRIDS = Path(__file__).parents[2] / "grids"
PLAIN = """\
study: heads                        # its report: reports/heads/
question: How many?
baseline: {finetune: {dataset: digits}}
factors: {kv heads: {path: encoder.num_kv_heads, levels: [1, 3]}}
claims: [{claim: one is enough, kind: non_inferior, cells: {kv heads: 1}, margin: 0.02}]
"""
TUNED_BY_REPLICATE = """\
tune:
  seeds: 3
  budget: 2
  parameters: {finetune.weight_decay: {low: 0.0, high: 0.1}}
"""


def grid(folder: Path, text: str) -> Study:
    (folder / "grid.yaml").write_text(text, encoding="utf-8", newline="")
    return load(folder / "grid.yaml")


def replicated(folder: Path, study: Study, replicates: int = 4) -> Study:
    (folder / "new.yaml").write_text(write_replication(study, "again", replicates), encoding="utf-8")
    return load(folder / "new.yaml")


@pytest.mark.parametrize("name", ["quickstart", "paper", "paper_cifar100"])
def test_the_examples_with_claims(name: str, tmp_path: Path) -> None:
    study = load(GRIDS / f"{name}.yaml")
    same_claims_and_cells(study, replicated(tmp_path, study))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN + "replicates: 5  # of every cell\nseed: 7",
        PLAIN + "replicates:\n  min: 3  # first\n  max: 9\n  until: claims\n\n# what each needs\nresources: {cpu: 1}\n",
        "seed: 3\nreplicates:\n  {min: 3,\n   max: 9, until: claims}\n" + PLAIN,
        PLAIN + "replicates: 3\nresample: [split]\n" + TUNED_BY_REPLICATE,
        PLAIN.replace("\n", "\r\n"),
        "\ufeff---\n" + PLAIN,
        "".join(f"  {line}\n" for line in PLAIN.splitlines()),  # an indented document
        '{"study": "heads", "question": "?", "baseline": {"finetune": {"dataset": "digits"}}, "replicates": 3, '
        '"factors": {"h": {"path": "encoder.num_kv_heads", "levels": [1, 3]}}, '
        '"claims": [{"claim": "x", "kind": "greater", "cells": {"h": 1}}]}',
        PLAIN.replace("study: heads  ", "study:\n  heads  "),
        PLAIN.replace("heads  ", "'heads'  ", 1),
    ],
)
def test_any_way_to_write_a_grid(text: str, tmp_path: Path) -> None:
    study = grid(tmp_path, text)
    made = replicated(tmp_path, study)
    same_claims_and_cells(study, made)
    assert made.grid.resources == study.grid.resources
    written = (tmp_path / "new.yaml").read_text()
    assert "A replication of the study heads" in written.splitlines()[0]
    for stale in ("its report", "of every cell", "first"):  # comments on values that are replaced
        assert stale not in written
    assert ("what each needs" in written) == ("what each needs" in text)


def same_claims_and_cells(study: Study, made: Study) -> None:
    assert made.cells == study.cells
    assert made.grid.claims == study.grid.claims
    assert (made.name, made.grid.replicates) == ("again", 4)
    original = original_of(made)
    assert original is not None
    assert (original.grid, original.space) == (study.grid, study.space)
    assert not seeds(made) & seeds(study)


def seeds(study: Study) -> set[int]:
    return {replicate_seed(study.grid.seed, number) for number in range(1, study.grid.most_replicates + 1)}


@given(name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), replicates=st.integers(2, 50))
@settings(max_examples=30, deadline=None)
def test_seeds_are_fresh_and_valid(name: str, replicates: int) -> None:
    study = load(GRIDS / "quickstart.yaml")
    seed = fresh_seed(study, name, replicates)
    assert 0 <= seed <= 1_000_000_000
    assert not seeds(study) & {replicate_seed(seed, number) for number in range(1, replicates + 1)}
    assert seed == fresh_seed(study, name, replicates)


def test_a_replication_of_a_replication_avoids_the_seeds_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = grid(tmp_path, PLAIN)
    second = replicated(tmp_path, first)
    for taken in (first.grid.seed, second.grid.seed):
        monkeypatch.setattr("study.design.replication.named_seed", lambda _, taken=taken: taken)
        assert fresh_seed(second, "third", 4) not in (first.grid.seed, second.grid.seed)


@pytest.mark.parametrize(
    ("added", "error"),
    [
        (
            "replication: {of: other, seed: 0, replicates: 3}",
            "seed 0 gives a replicate the seed of one of the original",
        ),
        ("replication: {of: heads, seed: 5, replicates: 3}", "is this study, 'heads'; give one of them another name"),
        ("replication: {of: other, seed: 5}", "replicates"),
        ("replication: {of: a b, seed: 5, replicates: 3}", 'invalid value "a b": must be letters, digits'),
    ],
)
def test_an_invalid_replication_is_refused(added: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=error):
        grid(tmp_path, f"{PLAIN}{added}\n")


def test_a_replication_without_claims_is_refused(tmp_path: Path) -> None:
    text = "".join(line for line in PLAIN.splitlines(keepends=True) if not line.startswith("claims"))
    with pytest.raises(StudyError, match="requires 'claims'"):
        grid(tmp_path, f"{text}replication: {{of: other, seed: 5, replicates: 3}}\n")
