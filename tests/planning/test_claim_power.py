"""Power estimates and verdicts of claims in the plan."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.looks import make_plan
from rich.console import Console

from study.analysis.stats.forecast import Spread
from study.analysis.stats.freedom import Freedom
from study.analysis.stats.power import detectable_effect, inside_power, paired_power
from study.analysis.stats.reachable import reachable
from study.cli.plan import as_json, claim_line, missing_estimates, show
from study.cli.suggested_replication import suggested_replication
from study.design.claim_kinds.claim_kind import Region
from study.design.stages import stages_of
from study.design.study import Study, expand, load
from study.planning.claim_power import ClaimPower, claim_powers
from study.planning.plan import Plan
from study.planning.state import StudyState
from study.store.results import Result, Store
from study.utils.command_line import Invocation

GRID = """\
study: power
question: What can be detected?
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


def powers(study: Study, store: Store) -> list[ClaimPower]:
    return claim_powers(StudyState.look(study, store))


def test_estimates_appear_after_two_replicates(tmp_path: Path) -> None:
    study = load(grid(tmp_path))
    for stored in (0, 1):
        store = store_of(tmp_path, stored)
        assert [power.spread for power in powers(study, store)] == [None, None]
    plan = make_plan(study, store)
    assert [claim_line(power) for power in plan.claims] == ["one is enough", "one is the same"]
    assert missing_estimates(plan.claims) == "power estimates appear after two replicates"
    console = Console(file=io.StringIO(), width=300)
    show(plan, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("power estimates appear after two replicates") == 1


def test_a_claim_decided_by_all_replicates_has_its_verdict(tmp_path: Path) -> None:
    """Differences -1, 1, -1, 1, -1 points: mean -0.2, above -2 by t = 1.8 / 0.49 = 3.67 with 4 degrees of
    freedom, two-sided p = 0.0213, for two claims 0.0427; nothing is shown to be within 0.1 points."""
    study, store = load(grid(tmp_path)), store_of(tmp_path, 4)
    assert [power.verdict for power in powers(study, store)] == [None, None]
    enough, same = powers(study, store_of(tmp_path, 5))
    assert (enough.verdict, same.verdict) == ("supported", "undecided")
    assert claim_line(enough) == "one is enough: supported"
    assert claim_line(same).startswith(
        "one is the same: undecided; 5 replicates cannot support it with 80% power (paired test, SD "
    )
    assert missing_estimates([enough, same]) == ""
    assert [claim["verdict"] for claim in as_json(make_plan(study, store))["claims"]] == ["supported", "undecided"]


def test_a_claim_decided_by_an_interim_analysis_has_its_verdict(tmp_path: Path) -> None:
    """The analysis at 2 of 2 to 4 replicates decides nothing; after the last one, undecided is final."""
    text = GRID.replace("replicates: 5", "replicates: {min: 2, max: 4, until: claims}")
    study = load(grid(tmp_path, text))
    assert [power.verdict for power in powers(study, store_of(tmp_path, 2))] == [None, None]
    grid(tmp_path, text)
    found = powers(load(tmp_path / "grid.yaml"), store_of(tmp_path, 4))
    assert [power.verdict for power in found] == ["undecided", "undecided"]


def test_the_true_differences_that_would_be_supported(tmp_path: Path) -> None:
    """Two claims share alpha = 0.05; 5 replicates; SD 1.41 points, so a margin of 0.1 points is out of reach.

    With one degree of freedom the SD's interval is 0.608 to 7.958 times the estimate: 0.86 to 11.25 points.
    """
    study, store = load(grid(tmp_path)), store_of(tmp_path, 2)
    enough, same = powers(study, store)
    sd = 0.01 * 2**0.5
    assert enough.spread is not None
    assert enough.spread.ends == pytest.approx((0.608 * sd, sd, 7.958 * sd), rel=1e-3)
    ends = [-0.02 + detectable_effect(5, one, alpha=0.025) for one in enough.spread.ends]
    assert [region and region.low for region in enough.supported] == pytest.approx(ends)
    assert same.supported == (None, None, None)
    assert claim_line(same).endswith(
        "5 replicates cannot support it with 80% power (paired test, SD 1.41 points, 80% interval 0.86 "
        "points to 11.25 points)"
    )
    low, high = (f"exceeds {100 * end:+.2f} points".replace("-", "\N{MINUS SIGN}") for end in (ends[0], ends[2]))
    assert claim_line(enough) == (
        f"one is enough: 80% power with 5 replicates (paired test) if the true difference {low} (SD 0.86 points) "
        f"or {high} (SD 11.25 points): the SD is 1.41 points, and these are the ends of its 80% interval"
    )
    wide = replace(enough, supported=(*enough.supported[:2], None))  # no accuracy differs that much
    assert f"difference {low} (SD 0.86 points), and for no difference at SD 11.25 points: the SD is" in claim_line(wide)
    found = as_json(make_plan(study, store))["claims"]
    assert found[0]["supported_if"] == {"low": pytest.approx(ends[1]), "high": None, "between": True}
    assert found[0]["supported_if_interval"][1]["low"] == pytest.approx(ends[2])
    assert found[1]["supported_if"] is None


def test_differences_that_accuracies_cannot_have_are_not_printed(tmp_path: Path) -> None:
    """2 replicates that differ by -40 and 40 points: SD 57 points, of at most 100; two of them detect nothing below
    several hundred points."""
    study, store = load(grid(tmp_path, GRID.replace("replicates: 5", "replicates: 2"))), Store(tmp_path / "store")
    for trial in expand(study):
        gain = 0.4 * (-1) ** trial.replicate if trial.cell.changed else 0.0
        store.save(stages_of(trial)[-1], Result({"test_accuracy": 0.5 + gain}, {}, [], []), b"", {})
    enough, _ = powers(study, store)
    assert enough.supported == (None, None, None)
    assert (
        "2 replicates cannot support it with 80% power (paired test, SD 56.57 points, 80% interval 34.39 points to "
        "100.00 points)" in (claim_line(enough))
    )


def test_the_plan_has_what_each_look_needs(tmp_path: Path) -> None:
    """3 to 12 replicates and 2 claims: the first look's level is 0.05 / 16 / 2, with 2 degrees of freedom t = 25.3."""
    text = GRID.replace("replicates: 5", "replicates: {min: 3, max: 12, until: claims}")
    study = load(grid(tmp_path, text))
    assert "25.3" in shown(make_plan(study, Store(tmp_path / "none")))
    plan = make_plan(study, store_of(tmp_path, 2))
    lines = shown(plan)
    assert "the look at 3 needs |t| > 25.3, the look at 6 needs |t| > 4.85, the look at 12 needs |t| > " in lines
    assert "for the first decision among 2 claims" in lines
    assert 25.3 * 11.25 / 3**0.5 > 100  # points: the upper end is not printed
    assert "claim 1: distance from the margin that decides it (paired test, 80% interval of the SD): 12.5" in lines
    assert "12.54 points or more at 3, 1.70 to 22.27 points at 6" in lines
    assert (
        "the look at 3 is decorative: less than 2% power for a true difference that the look at 12 detects with 80% "
        "power; a new study can have 'replicates: {min: 4, max: 12, until: claims}'"
    ) in lines
    found = as_json(plan)
    assert [look["replicates"] for look in found["looks"]] == [3, 6, 12]
    assert found["suggested_replicates"] == "{min: 4, max: 12, until: claims}"


def test_forecasts_use_the_error_that_verdicts_use(tmp_path: Path) -> None:
    """Four cells of 5 replicates with equal spreads: the error is pooled, with 4 * min(3, 3) = 12 degrees of freedom
    instead of 4."""
    text = GRID.replace("levels: [1, 3]", "levels: [1, 2, 3, 6]").replace(
        "replicates: 5", "replicates: {min: 5, max: 9, until: claims}"
    )
    study, store = load(grid(tmp_path, text)), Store(tmp_path / "store")
    offsets = {1: (0, 2, 4, 1, 3), 2: (3, 0, 2, 4, 1), 3: (1, 3, 0, 2, 4), 6: (4, 1, 3, 0, 2)}  # shifted by cell
    for trial in expand(study):
        if trial.replicate <= 5:
            heads = trial.cell.settings.encoder.num_kv_heads
            value = 0.8 + 0.001 * offsets[heads][trial.replicate - 1]
            store.save(stages_of(trial)[-1], Result({"test_accuracy": value}, {}, [], []), b"", {})
    enough, _ = powers(study, store)
    assert enough.freedom == Freedom(4)
    assert enough.spread is not None
    assert enough.spread == Spread.of(enough.spread.sd, 12, 1.0)
    alpha = 0.025 * (1 - 25 / 81)
    ends = [-0.02 + detectable_effect(9, sd, alpha=alpha, df=8 * 3) for sd in enough.spread.ends]
    assert [region and region.low for region in enough.supported] == pytest.approx(ends)
    decided = claim_line(ClaimPower(enough.claim, 9, enough.spread, enough.supported, freedom=enough.freedom))
    assert "9 replicates (pooled error)" in decided


def test_a_fixed_number_of_replicates_has_no_looks(tmp_path: Path) -> None:
    plan = make_plan(load(grid(tmp_path)), Store(tmp_path / "none"))
    assert "needs |t|" not in shown(plan)
    assert as_json(plan)["looks"] is None


def shown(plan: Plan) -> str:
    console = Console(file=io.StringIO(), width=500)
    show(plan, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_power_is_that_of_the_maximum_of_adaptive_replicates(tmp_path: Path) -> None:
    """The last analysis at (3, 8) spends 1 - (3/8)^2 of each claim's alpha of 0.025."""
    store = store_of(tmp_path, 3)
    text = GRID.replace("replicates: 5", "replicates: {min: 3, max: 8, until: claims}")
    study = load(grid(tmp_path, text))
    enough, _ = powers(study, store)
    assert enough.spread is not None
    assert enough.replicates == 8
    alpha = 0.025 * (1 - 9 / 64)
    ends = [-0.02 + detectable_effect(8, sd, alpha=alpha) for sd in enough.spread.ends]
    assert [region and region.low for region in enough.supported] == pytest.approx(ends)


INF = float("inf")


@pytest.mark.parametrize(
    "region", [Region(0, INF), Region(-INF, -0.5), Region(-2, 2), Region(-1.2, 1.2), Region(-0.5, 0.5, inside=False)]
)
def test_the_power_at_the_bounds_of_the_reachable_region_is_80_percent(region: Region) -> None:
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


def test_too_few_replicates_have_no_reachable_region() -> None:
    assert reachable(Region(-0.5, 0.5), 10, 1.0) is None
    assert reachable(Region(0, INF), 1, 1.0) is None


EXACT = """\
study: power
question: What does it take?
baseline: {finetune: {dataset: digits}}
factors: {kv heads: {path: encoder.num_kv_heads, levels: [1, 2, 3]}}
claims:
  - {claim: smaller, kind: less, cells: {kv heads: 1}, against: {kv heads: 2}, metric: params}
  - {claim: larger, kind: greater, cells: {kv heads: 1}, against: {kv heads: 2}, metric: macs}
  - {claim: faster, kind: less, cells: {kv heads: 1}, metric: fp32_ms}
compare:
  - {cells: {kv heads: 1}, against: {kv heads: [2, 3]}}
  - {cells: {kv heads: 1}, against: {kv heads: 2}, metric: train_seconds}
  - {cells: {kv heads: 1}, against: {kv heads: 2}, metric: params}
"""


def test_exact_claims_have_a_verdict_and_contrasts_are_announced_before_any_result(tmp_path: Path) -> None:
    """The differences are those of the sizes in the table of the plan."""
    plan = make_plan(load(grid(tmp_path, EXACT)), Store(tmp_path / "store"))
    sizes = {item.cell.labels["kv heads"]: item.size for item in plan.cells}
    params, macs = (getattr(sizes["1"], name) - getattr(sizes["2"], name) for name in ("params", "macs"))
    minus = "\N{MINUS SIGN}"
    assert [claim_line(power) for power in plan.claims] == [
        f"smaller: supported; the difference is {minus}{-params:,} parameters",
        f"larger: refuted; the difference is {minus}{-macs:,} multiply-adds",
        "faster",
    ]
    console = Console(file=io.StringIO(), width=300)
    show(plan, console)
    assert isinstance(console.file, io.StringIO)
    assert [line for line in console.file.getvalue().splitlines() if line.startswith("compare: ")] == [
        "compare: test_accuracy of kv heads=1 against kv heads=3 or 2, in points (two-sided 95 % interval, within "
        "replicates)",
        "compare: train_seconds of kv heads=1 against kv heads=2, in s (two-sided 95 % interval, within replicates)",
        "compare: params of kv heads=1 against kv heads=2, in parameters (exact, no interval)",
    ]
    assert as_json(plan)["claims"][0]["difference"] == params
    assert len(as_json(plan)["compare"]) == 3


def test_sizes_that_are_tuned_are_not_known_before(tmp_path: Path) -> None:
    tuned = EXACT + "tune: {budget: 2, parameters: {encoder.depth: {low: 6, high: 8}}}\n"
    plan = make_plan(load(grid(tmp_path, tuned)), Store(tmp_path / "store"))
    assert [power.verdict for power in plan.claims] == [None, None, None]


@pytest.mark.parametrize(("replicates", "flags"), [("5", ""), ("{min: 2, max: 5, until: claims}", " --replicates 7")])
def test_undecided_claims_come_with_the_command_that_replicates_them(
    tmp_path: Path, replicates: str, flags: str
) -> None:
    """7 replicates are what the first claim needs by its estimate; an adaptive study has no number of its own."""
    text = GRID.replace("replicates: 5", f"replicates: {replicates}")
    store = store_of(tmp_path, 5)
    study = load(grid(tmp_path, text))
    suggested = suggested_replication(StudyState.look(study, store), Invocation("g.yaml", {"store": "s"}))
    assert "undecided claim" in suggested
    assert suggested.endswith(f"with new seeds: python -m study replicate g.yaml --store s{flags}")


def test_an_unfinished_study_suggests_no_replication(tmp_path: Path) -> None:
    study, store = load(grid(tmp_path)), store_of(tmp_path, 4)
    assert suggested_replication(StudyState.look(study, store), Invocation("g.yaml")) == ""
