"""The grids of the paper: parameters as stated in their comments, claims of the abstract, a run of the small one."""

from pathlib import Path

import pytest
from helpers.looks import collect, make_plan
from helpers.paths import GRIDS

from study.design.study import Study, load
from study.execution.run_stage import run_stage
from study.report import analyse
from study.store.results import Store

PAPER, REAL = GRIDS / "paper.yaml", GRIDS / "paper_cifar100.yaml"


def params(study: Study) -> dict[str, int]:
    plan = make_plan(study, Store(Path("nowhere")))
    return {item.cell.name: item.size.params for item in plan.cells if item.size}


@pytest.mark.parametrize("path", [PAPER, REAL], ids=["digits", "cifar100"])
def test_cells_compared_at_equal_parameters_have_them(path: Path) -> None:
    """Within 0.3 %, and as stated in the comments of the grid."""
    found, text = params(load(path)), path.read_text()
    for cell in ("experts and widths=constant experts", "experts and widths=constant widths"):
        assert found[cell] == pytest.approx(found["baseline"], rel=0.003)
        assert f"{found[cell]:,} parameters" in text
    for cell in ("baseline", "shared projections=none"):
        assert f"{found[cell]:,} parameters" in text


def test_the_large_grid_has_067m_parameters_and_a_claim_about_them() -> None:
    study = load(REAL)
    assert f"{params(study)['baseline'] / 1e6:.2f}M" == "0.67M"
    assert any("0.67M" in claim.claim and claim.against == 0.7088 for claim in study.grid.claims)


def test_both_grids_have_the_claims_of_the_abstract() -> None:
    for path in (PAPER, REAL):
        claims = " ".join(claim.claim for claim in load(path).grid.claims)
        for words in (
            "sharing V and W2",
            "constant experts",
            "constant widths",
            "key/value head",
            "helps",
            "transfers",
        ):
            assert words in claims


def test_the_small_grid_runs_to_verdicts(tmp_path: Path) -> None:
    """With one epoch and two to three replicates, all cells train and every claim has a verdict."""
    text = (
        PAPER.read_text()
        .replace("{min: 4, max: 8", "{min: 2, max: 3")
        .replace("pretrain.epochs: 6", "pretrain.epochs: 1")
    )
    for written in ("epochs: 26", "epochs: 30"):
        text = text.replace(written, "epochs: 1")
    text = text.replace("train_images: 600", "train_images: 64").replace("warmup_epochs: 2", "warmup_epochs: 0")
    text = text.replace("mask_ratio: 0.5", "train_images: 64")
    (tmp_path / "paper.yaml").write_text(text)
    study, store = load(tmp_path / "paper.yaml"), Store(tmp_path / "store")
    while missing := make_plan(study, store).missing:
        for stage in missing:
            run_stage(stage, store, "cpu", lambda row: None)
    verdicts = analyse(collect(study, store)).verdicts
    assert len(verdicts) == 6
    assert verdicts["estimate"].notna().all()
    assert set(verdicts["n"]) <= {2, 3}
