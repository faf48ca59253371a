"""What the plan says of claims before they are judged."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from study.analysis.stats.claims import reachable
from study.analysis.stats.power import detectable_effect, inside_power, paired_power
from study.design.claim_kinds.claim_kind import Region
from study.design.stages import stages_of
from study.design.study import expand, load
from study.planning.claim_power import outlooks, unknown
from study.planning.plan import as_json, make_plan, show
from study.store.results import Result, Store

GRID = """\
study: ahead
question: What can be seen?
baseline: {finetune: {dataset: digits}}
factors: {kv heads: {path: encoder.num_kv_heads, levels: [1, 3]}}
claims:
  - {claim: one is enough, kind: non_inferior, cells: {kv heads: 1}, margin: 0.02}
  - {claim: one is the same, kind: equivalent, cells: {kv heads: 1}, margin: 0.001}
replicates: 5
"""


def grid(folder: Path, text: str = GRID) -> Path:
    (folder / "grid.yaml").write_text(text)
    return folder / "grid.yaml"


def store_of(folder: Path, replicates: int) -> Store:
    """Differences of 1, -1, 1, ... points: with 2 replicates their standard deviation is the root of 2 points."""
    store = Store(folder / "store")
    for trial in expand(load(grid(folder))):
        if trial.replicate <= replicates:
            gain = 0.01 * (-1) ** trial.replicate if trial.cell.changed else 0.0
            store.save(stages_of(trial)[-1], Result({"test_accuracy": 0.8 + gain}, {}, [], []), b"", {})
    return store


def test_without_results_nothing_is_known(tmp_path: Path) -> None:
    study = load(grid(tmp_path))
    for stored in (0, 1):
        store = store_of(tmp_path, stored)
        assert [outlook.sd for outlook in outlooks(study, expand(study), store)] == [None, None]
    plan = make_plan(study, store)
    assert [str(outlook) for outlook in plan.outlooks] == ["one is enough", "one is the same"]
    assert unknown(plan.outlooks) == "what 5 replicates can decide of these claims is told once two are stored"
    console = Console(file=io.StringIO(), width=300)
    show(plan, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("told once two are stored") == 1


def test_what_all_replicates_have_decided_is_not_forecast(tmp_path: Path) -> None:
    """Differences -1, 1, -1, 1, -1 points: mean -0.2, above -2 by t = 1.8 / 0.49 = 3.67 with 4 degrees of
    freedom, two-sided p = 0.0213, for two claims 0.0427; nothing is shown to be within 0.1 points."""
    study, store = load(grid(tmp_path)), store_of(tmp_path, 4)
    assert [outlook.verdict for outlook in outlooks(study, expand(study), store)] == [None, None]
    enough, same = outlooks(study, expand(study), store_of(tmp_path, 5))
    assert (enough.verdict, same.verdict) == ("supported", "undecided")
    assert str(enough) == "one is enough: supported"
    assert str(same).startswith("one is the same: undecided; 5 replicates are too few for its margin")
    assert unknown([enough, same]) == ""
    assert [claim["verdict"] for claim in as_json(make_plan(study, store))["claims"]] == ["supported", "undecided"]


def test_what_a_look_has_decided_is_not_forecast(tmp_path: Path) -> None:
    """A look at 2 of 2 to 4 replicates decides nothing; the last one leaves what it leaves."""
    text = GRID.replace("replicates: 5", "replicates: {min: 2, max: 4, until: claims}")
    study = load(grid(tmp_path, text))
    assert [outlook.verdict for outlook in make_plan(study, store_of(tmp_path, 2)).outlooks] == [None, None]
    grid(tmp_path, text)
    found = make_plan(load(tmp_path / "grid.yaml"), store_of(tmp_path, 4)).outlooks
    assert [outlook.verdict for outlook in found] == ["undecided", "undecided"]


def test_the_true_differences_that_would_be_supported(tmp_path: Path) -> None:
    """Two claims share 5 %; the plan's five replicates; a spread of 1.41 points, so a margin of 0.1 is out of reach."""
    study, store = load(grid(tmp_path)), store_of(tmp_path, 2)
    enough, same = outlooks(study, expand(study), store)
    sd = 0.01 * 2**0.5
    assert enough.sd == pytest.approx(sd)
    assert enough.supported is not None
    assert enough.supported.low == pytest.approx(-0.02 + detectable_effect(5, sd, alpha=0.025))
    assert same.supported is None
    assert "are too few for its margin, at a spread of 1.41 points so far" in str(same)
    low = 100 * enough.supported.low
    assert f"5 replicates support it four times in five if the true difference is above {low:+.2f} points" in str(
        enough
    )
    told = as_json(make_plan(study, store))["claims"]
    assert told[0]["supported_if"] == {"low": enough.supported.low, "high": None, "between": True}
    assert told[1]["supported_if"] is None


def test_replicates_that_are_added_count_up_to_their_most(tmp_path: Path) -> None:
    """The last look of (3, 8) spends 1 - (3/8)^2 of the two claims' 2.5 % each."""
    store = store_of(tmp_path, 3)
    text = GRID.replace("replicates: 5", "replicates: {min: 3, max: 8, until: claims}")
    study = load(grid(tmp_path, text))
    enough, _ = outlooks(study, expand(study), store)
    assert enough.sd is not None
    assert enough.supported is not None
    assert enough.replicates == 8
    alpha = 0.025 * (1 - 9 / 64)
    assert enough.supported.low == pytest.approx(-0.02 + detectable_effect(8, enough.sd, alpha=alpha))


INF = float("inf")


@pytest.mark.parametrize(
    "region", [Region(0, INF), Region(-INF, -0.5), Region(-2, 2), Region(-1.2, 1.2), Region(-0.5, 0.5, inside=False)]
)
def test_at_the_ends_of_what_is_reachable_the_power_is_as_wanted(region: Region) -> None:
    found = reachable(region, 10, 1.0)
    assert found is not None
    for end in (found.low, found.high):
        if abs(end) == INF:
            continue
        if region.inside:
            power = inside_power(10, end, 1.0, region.low, region.high)
        else:
            power = paired_power(10, min(abs(end - region.low), abs(end - region.high)), 1.0)
        assert power == pytest.approx(0.8, abs=1e-4)


def test_too_few_replicates_reach_nothing() -> None:
    assert reachable(Region(-0.5, 0.5), 10, 1.0) is None
    assert reachable(Region(0, INF), 1, 1.0) is None
