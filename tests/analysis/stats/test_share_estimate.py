"""Accuracies against a number, with an error over replicates and images: by hand, at the ends of the scale, and against
a plain simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from study.analysis.stats.image_results import COLUMN, ImageShares, RightImages
from study.analysis.stats.sequential import looks
from study.analysis.stats.share_estimate import ShareEstimate
from study.analysis.stats.verdict_rule import Verdict, judge
from study.design.claim_kinds.claim_kind import Region
from study.design.claims import ClaimSpec

INF = math.inf
FACTORS = {"x": ["0", "1"], "y": ["0", "1"]}
HAND = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
"""Mean 5/8, and by tests/analysis/stats/test_items.py: standard error sqrt(11/24/8), that of replicates 1/8."""
ALWAYS_RIGHT = np.ones((3, 451))


def estimate(shares_RN: np.ndarray, number: float) -> ShareEstimate:
    return ShareEstimate.of(ImageShares(np.asarray(shares_RN, dtype=float), number))


def test_a_p_value_is_the_larger_of_both_tests_by_hand() -> None:
    """On the logit scale ln(5/3) - ln(1/3) = ln 5, its error that of the share over 5/8 3/8; over replicates t = 3."""
    df = (11 / 24) ** 2 / (1 / 64 + (11 / 24) ** 2 / 3 + 1 / 64 / 3)
    t = math.log(5) / (math.sqrt(11 / 24 / 8) / (15 / 64))
    on_logits, over_replicates = 2 * stats.t.sf(t, df), 2 * stats.t.sf(3, 1)
    found = estimate(HAND, 0.25)
    assert found.mean == pytest.approx(3 / 8)
    assert found.error == pytest.approx(math.sqrt(11 / 24 / 8))
    assert found.df == pytest.approx(df)
    assert found.p_value() == pytest.approx(max(on_logits, over_replicates))
    supports, refutes = found.region_p_values(Region(0.0, INF))
    assert (supports, refutes) == (pytest.approx(found.p_value()), 1.0)


def test_margins_are_shifted_on_the_accuracy_scale() -> None:
    """45 of 50 images right in every replicate: against 80 % with a margin of 5 points, the logit of 85 % counts."""
    found = estimate(np.tile([1.0] * 45 + [0.0] * 5, (3, 1)), 0.8)
    error = math.sqrt(0.9 * 0.1 / 49) / (0.9 * 0.1)
    t = (special.logit(0.9) - special.logit(0.85)) / error
    assert found.region_p_values(Region(0.05, INF))[0] == pytest.approx(2 * stats.t.sf(t, 49))
    upper = (special.logit(0.95) - special.logit(0.9)) / error
    expected = 2 * max(stats.t.sf(t, 49), stats.t.sf(upper, 49))
    assert found.region_p_values(Region(0.05, 0.15))[0] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("level", [0.9, 0.99])
def test_the_interval_is_inside_a_region_just_where_the_p_value_is_below_its_level(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    shares = (rng.random((rng.integers(2, 6), 80)) < 1 - 10 ** -rng.uniform(0.5, 3)).astype(float)
    found = estimate(shares, 0.9)
    low, high = found.interval(level)
    assert low <= found.mean <= high
    for off in (-1e-6, 1e-6):
        regions = (Region(low + off, INF), Region(-INF, high - off), Region(low + off, high - off))
        for region in regions:
            ends = [(end, sign) for end, sign in ((region.low, 1), (region.high, -1)) if math.isfinite(end)]
            # the ends of an interval that are cut at 0 and 1 do not depend on the level
            if all(1e-5 < end + 0.9 < 1 - 1e-5 for end, _ in ends):
                assert (found.region_p_values(region)[0] < 1 - level) == (off < 0)


def test_where_all_images_are_right_in_all_replicates() -> None:
    """logit(451.5 / 0.5), error sqrt(1/451.5 + 1/0.5); replicates have no spread, so their interval is a point."""
    found, error = estimate(ALWAYS_RIGHT, 0.97), math.sqrt(1 / 451.5 + 2)
    t = (math.log(903) - special.logit(0.97)) / error
    assert found.region_p_values(Region(0.0, INF)) == (pytest.approx(2 * stats.t.sf(t, 450)), 1.0)
    assert found.p_value() < 0.05
    assert found.interval()[1] == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("shares", "number", "region", "supported", "refuted"),
    [
        (ALWAYS_RIGHT, 1.0, Region(-INF, 0.0), 1.0, 1.0),  # below 100 %
        (ALWAYS_RIGHT, 1.0, Region(0.0, INF), 1.0, 1.0),  # above 100 %, by a mean that is exactly there
        (1 - ALWAYS_RIGHT, 0.0, Region(0.0, INF), 1.0, 1.0),
        (1 - ALWAYS_RIGHT, 0.0, Region(-INF, 0.0), 1.0, 1.0),
        (HAND[:1].repeat(3, axis=0), 1.0, Region(-INF, 0.0), 0.0, 1.0),  # an image is wrong in every replicate
        (HAND[:1].repeat(3, axis=0), 0.0, Region(0.0, INF), 0.0, 1.0),
        (ALWAYS_RIGHT, 0.99, Region(-0.01, 0.01), 1.0, 1.0),  # the upper end is 100 % itself
    ],
)
def test_numbers_at_the_ends_of_the_scale(
    shares: np.ndarray, number: float, region: Region, supported: float, refuted: float
) -> None:
    assert estimate(shares, number).region_p_values(region) == (supported, refuted)


def test_margins_beyond_the_scale_do_not_limit() -> None:
    """97 to 101 %: no accuracy is above 100 %, so this is above 97 %."""
    shares = (np.random.default_rng(0).random((4, 2000)) < 0.99).astype(float)
    found = estimate(shares, 0.99)
    assert found.region_p_values(Region(-0.02, 0.02)) == found.region_p_values(Region(-0.02, INF))
    low = estimate(1 - shares, 0.01)
    assert low.region_p_values(Region(-0.02, 0.02)) == low.region_p_values(Region(-INF, 0.02))
    assert found.interval()[1] <= 0.01


def test_cells_of_which_one_is_always_right_and_one_always_wrong_have_an_error() -> None:
    """Their mean does not vary over images or replicates; it has that of 451 images of which half are right."""
    found = estimate(np.full((3, 451), 0.5), 0.45)
    assert found.error == pytest.approx(math.sqrt(0.25 / 452))


def test_one_replicate_has_no_test_and_two_have_one() -> None:
    one = estimate(HAND[:1], 0.2)
    assert all(map(math.isnan, (*one.region_p_values(Region(0.0, INF)), *one.interval(), one.error)))
    assert 0 < estimate(HAND, 0.2).p_value() < 1


# --- verdicts ---


def data(right: dict[tuple[str, str], np.ndarray], images: str = "ab") -> pd.DataFrame:
    rows = [
        {"x": x, "y": y, "replicate": r, "status": "done", "test_accuracy": own.mean(), "val_accuracy": own.mean()}
        | {COLUMN: RightImages(images, own.astype(bool))}
        for (x, y), values in right.items()
        for r, own in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows)


def spec(**keys: object) -> ClaimSpec:
    return ClaimSpec.model_validate({"claim": "c", "kind": "greater", "cells": {"x": "1"}, **keys})


def near_the_ceiling(n: int = 5, images: int = 451) -> np.ndarray:
    """451 images of which two are always wrong, and up to six more in a replicate."""
    right = np.ones((n, images))
    right[:, :2] = 0
    for replicate in range(n):
        right[replicate, 2 : 2 + (0, 3, 1, 6, 2)[replicate % 5]] = 0
    return right


def verdict(table: pd.DataFrame, failures: str = "undecided", **keys: object) -> Verdict:
    return judge([spec(against=0.97, **keys)], table, FACTORS, failures=failures)[0]  # type: ignore[arg-type]


def test_a_claim_near_the_ceiling_has_a_verdict() -> None:
    """Without predictions it has none: accuracies of 98.2 to 99.6 % are too close to 100 % for a t-test."""
    table = data({("1", "0"): near_the_ceiling()})
    found = verdict(table)
    assert (found.verdict, found.error, found.n, found.adjustment) == ("supported", "replicates and images", 5, "Holm")
    own = estimate(near_the_ceiling(), 0.97)
    assert (found.estimate, (found.low, found.high), found.p_value, found.df) == (
        own.mean,
        own.interval(),
        own.p_value(),
        own.df,
    )
    assert verdict(table, kind="less").verdict == "refuted"
    without = verdict(table.drop(columns=COLUMN))
    assert (without.verdict, without.error) == ("undecided", "replicates")
    assert without.note.startswith("the mean is too close to the end of the scale")
    assert "stored predictions of all replicates on the same images" in without.note


@pytest.mark.parametrize("metric", ["val_accuracy"])
def test_only_test_accuracies_have_the_error_of_the_images(metric: str) -> None:
    found = verdict(data({("1", "0"): near_the_ceiling()}), metric=metric)
    assert (found.verdict, found.error) == ("undecided", "replicates")


def test_a_difference_of_cells_has_not() -> None:
    table = data({("1", "0"): near_the_ceiling(), ("0", "0"): near_the_ceiling()[::-1]})
    assert judge([spec()], table, FACTORS)[0].error == "paired"


def without(table: pd.DataFrame, replicate: int, right: RightImages | None) -> pd.DataFrame:
    values = [right if one == replicate else own for one, own in zip(table["replicate"], table[COLUMN], strict=True)]
    return table.assign(**{COLUMN: pd.Series(values, dtype=object)})


@pytest.mark.parametrize("right", [None, RightImages("cd", np.ones(451, dtype=bool))])
def test_missing_predictions_and_other_test_images_leave_it_undecided(right: RightImages | None) -> None:
    """As for results of earlier versions, and for splits that are drawn anew."""
    found = verdict(without(data({("1", "0"): near_the_ceiling()}), 2, right))
    assert (found.verdict, found.error) == ("undecided", "replicates")
    assert found.note.startswith("the mean is too close")


def test_failed_replicates_count_as_the_grid_states() -> None:
    table = data({("1", "0"): near_the_ceiling()})
    table.loc[table["replicate"] == 5, ["status", "test_accuracy"]] = ["failed", math.nan]
    assert verdict(table).verdict == "undecided"
    excluded = verdict(table, "exclude")
    assert (excluded.verdict, excluded.n) == ("supported", 4)
    assert excluded.p_value == estimate(near_the_ceiling()[:4], 0.97).p_value()
    worst = verdict(table, "worst")
    assert (worst.error, worst.n) == ("replicates", 5)  # an accuracy of 0 has no predictions


def test_a_mean_over_cells_has_the_error_of_their_common_images() -> None:
    """On other images, as with another data set, it has not."""
    first, second = near_the_ceiling(), near_the_ceiling()[::-1]
    table = data({("1", "0"): first, ("1", "1"): second})
    claim = spec(against=0.97, where={"y": ["0", "1"]})
    found = judge([claim], table, FACTORS)[0]
    assert (found.sets, found.error) == (2, "replicates and images")
    assert found.p_value == estimate((first + second) / 2, 0.97).p_value()
    other = pd.concat([data({("1", "0"): first}), data({("1", "1"): second}, "cd")], ignore_index=True)
    assert judge([claim], other, FACTORS)[0].error == "replicates"


def test_claims_are_adjusted_together_by_holm() -> None:
    table = data({("1", "0"): near_the_ceiling()})
    claims = [spec(against=number) for number in (0.97, 0.975, 0.98)]
    alone = [estimate(near_the_ceiling(), number).p_value() for number in (0.97, 0.975, 0.98)]
    adjusted = [found.p_adjusted for found in judge(claims, table, FACTORS)]
    first, second = 3 * alone[0], max(3 * alone[0], 2 * alone[1])
    assert adjusted == pytest.approx([first, second, max(second, alone[2])])


def test_the_looks_of_adaptive_replicates_have_it_too() -> None:
    """Decided at the look at 3, and not by a replicate that had failed then."""
    table = data({("1", "0"): near_the_ceiling(6, 2000)})
    made = looks([spec(against=0.9)], table, FACTORS, 3, 6)
    assert [look.verdicts[0].verdict for look in made] == ["undecided", "supported"]
    assert made[-1].verdicts[0].error == "replicates and images"
    failed_at = {3: {(("1", "0"), 2)}}
    late = looks([spec(against=0.9)], table, FACTORS, 3, 6, failures="worst", failed_at=failed_at)
    assert late[1].verdicts[0].error == "replicates"


def test_an_undecided_claim_states_what_would_decide_it() -> None:
    """The images are the same in every replicate: more replicates do not help, more images do."""
    right = np.tile(np.arange(200) < 194, (5, 1)).astype(float)
    right[0, 190] = right[1, 191] = 0
    note = verdict(data({("1", "0"): right}), kind="greater").note
    assert note.startswith("not distinguishable at n = 5: this claim is not decidable at any reasonable cost")
    seeds = np.ones((3, 5000))
    for replicate, wrong in enumerate((100, 130, 70)):
        seeds[replicate, replicate * 1000 : replicate * 1000 + wrong] = 0
    assert "new replicates in a study of their own" in verdict(data({("1", "0"): seeds})).note
    few = np.tile(np.arange(200) < 197, (5, 1)).astype(float)
    few[0, 190] = few[1, 191] = 0
    note = verdict(data({("1", "0"): few})).note
    assert "test images (now 200), 5 replicates would decide it with 80% power" in note


def test_verdicts_are_as_rarely_false_near_the_ceiling_as_elsewhere() -> None:
    """Images differ in difficulty, seeds shift them all. The number is the true accuracy of the population of images,
    so every verdict is false; at most 5 % of studies with three claims may have one. Against a plain reference: the
    interval on the logit scale from sums of squares, widened to the t interval over replicates."""
    rng, studies, images, n = np.random.default_rng(7), 300, 451, 5
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    truth = float(weights @ special.expit(9.0 + 5.0 * nodes) / weights.sum())
    assert 0.95 < truth < 0.985
    false, agree = 0, 0
    for _ in range(studies):
        difficulty = 9.0 + math.sqrt(25 - 0.09) * rng.standard_normal(images)
        cells = [
            rng.random((n, images)) < special.expit(difficulty + 0.3 * rng.standard_normal((n, 1))) for _ in range(3)
        ]
        table = data({("1", str(i)): own.astype(float) for i, own in enumerate(cells)})
        factors = {"x": ["0", "1"], "y": ["0", "1", "2"]}
        claims = [spec(against=truth, where={"y": str(i)}) for i in range(3)]
        found = judge(claims, table, factors)
        false += any(one.verdict != "undecided" for one in found)
        agree += all(np.allclose((one.low, one.high), plain(own, truth)) for one, own in zip(found, cells, strict=True))
    assert false / studies <= 0.05
    assert agree == studies


def plain(right: np.ndarray, number: float) -> tuple[float, float]:
    """Loops and sums: the interval less the number."""
    n, images = right.shape
    mean = right.mean()
    a = sum(images * (right[r].mean() - mean) ** 2 for r in range(n)) / (n - 1)
    b = sum(n * (right[:, i].mean() - mean) ** 2 for i in range(images)) / (images - 1)
    total = ((right - mean) ** 2).sum() - (n - 1) * a - (images - 1) * b
    e = total / (n - 1) / (images - 1)
    a, b = max(a, e), max(b, e)
    error = math.sqrt((a + b - e) / n / images)
    df = max((a + b - e) ** 2 / (a**2 / (n - 1) + b**2 / (images - 1) + e**2 / (n - 1) / (images - 1)), n - 1)
    half = stats.t.ppf(0.975, df) * error / mean / (1 - mean)
    means = right.mean(axis=1)
    wide = stats.t.ppf(0.975, n - 1) * means.std(ddof=1) / math.sqrt(n)
    centre = special.logit(mean)
    low = max(min(special.expit(centre - half), mean - wide), 0)
    return low - number, min(max(special.expit(centre + half), mean + wide), 1) - number
