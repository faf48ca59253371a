"""What the plan says of claims before they are judged."""

from pathlib import Path

import pytest

from study.claims import Region
from study.design import expand, load
from study.outlook import outlooks
from study.plan import as_json, make_plan
from study.stages import stages_of
from study.stats.claims import reachable
from study.stats.power import detectable_effect, inside_power, paired_power
from study.store import Result, Store

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
    assert "not known yet" in str(make_plan(study, store).outlooks[0])


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
