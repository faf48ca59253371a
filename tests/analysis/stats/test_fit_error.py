"""The error of a fit's effects: lack of fit, unequal spread, and both at the size of committed studies."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from study.analysis.stats.effects import estimate
from study.analysis.stats.fit_error import Source, choose
from study.analysis.stats.model import Explained
from study.analysis.stats.spread import Spread

# The sampled and the fractional example of November 2026: levels, then correct test images (of 451) by replicate.
SAMPLE = """
00000: 422 431 420
21121: 404 417 417
12212: 423 415 427
31001: 424 429 423
00222: 433 431 429
22110: 414 421 427
10102: 420 410 401
31210: 425 428 433
02021: 420 430 419
30111: 419 427 427
21202: 431 423 424
11020: 412 414 408
20012: 423 423 426
01112: 425 429 424
12200: 412 428 420
12121: 378 397 399
30200: 425 429 432
22020: 428 422 423
"""
FRACTIONAL = """
0000000: 406 406 393 409
0001011: 395 406 400 408
0010101: 381 401 389 387
0011110: 385 370 356 396
0100110: 376 355 365 385
0101101: 378 374 371 394
0110011: 400 418 398 407
0111000: 404 406 403 405
1000111: 288 389 317 378
1001100: 405 399 409 409
1010010: 401 404 397 402
1011001: 422 418 419 423
1100001: 409 405 399 408
1101010: 395 395 402 413
1110100: 400 395 400 410
1111111: 395 374 398 366
"""
EVEN, UNEVEN = Spread(0.5, 4, 1.0, 1.5), Spread(0.01, 4, 1.0, 9.0)


def trials(table: str) -> pd.DataFrame:
    lines = (line.split(": ") for line in table.split("\n") if line)
    return pd.DataFrame(
        [
            {**{f"f{i}": level for i, level in enumerate(levels)}, "replicate": r, "value": int(correct) / 451}
            for levels, counts in lines
            for r, correct in enumerate(counts.split(), start=1)
        ]
    )


def factors_of(data: pd.DataFrame) -> dict[str, list[str]]:
    return {name: sorted(set(data[name])) for name in data.columns if name[0] == "f"}


def indicators(*columns: "pd.Series[str]") -> np.ndarray:
    """An intercept, and 0/1 columns of these variables."""
    dummies = [pd.get_dummies(column, drop_first=True).to_numpy(dtype=float) for column in columns]
    return np.hstack([np.ones((len(columns[0]), 1)), *dummies])


def residual(columns: np.ndarray, values: np.ndarray) -> tuple[float, int]:
    found, _, rank, _ = np.linalg.lstsq(columns, values)
    return float(((values - columns @ found) ** 2).sum()), len(values) - int(rank)


def row(found: pd.DataFrame, factor: str, level: str) -> "pd.Series[float]":
    return found.set_index(["factor", "level"]).loc[(factor, level)]


def test_the_sampled_example_contradicts_main_effects_alone() -> None:
    """F(6, 34) = 2.98, p = 0.019; from plain least squares with a column per level and per cell."""
    data = trials(SAMPLE)
    found = estimate(data, factors_of(data)).error
    values, names = data["value"].to_numpy(), [name for name in data.columns if name[0] == "f"]
    cells = data[names].agg("".join, axis=1)
    main, df = residual(indicators(data["replicate"], *(data[name] for name in names)), values)
    within, left = residual(indicators(data["replicate"], cells), values)
    f = (main - within) / (df - left) / (within / left)
    assert (df - left, left, round(f, 2), round(stats.f.sf(f, 6, 34), 3)) == (6, 34, 2.98, 0.019)
    assert (found.lack_f, found.lack_p) == pytest.approx((f, stats.f.sf(f, 6, 34)))
    assert (found.source, found.contradicted) == (Source.BETWEEN, True)
    assert (
        found.sentences[1]
        == "the cells contradict a model of main effects alone (lack of fit F(6, 34) = 2.98, p = 0.019)"
    )
    share = 18 / 324
    assert found.used.ms == pytest.approx(share * within / 34 + (1 - share) * (main - within) / 6)


def test_effects_and_their_f_tests_use_the_same_error() -> None:
    data = trials(SAMPLE)
    found = estimate(data, factors_of(data))
    table = found.anova.set_index("term")
    assert table.loc["lack of fit of the main effects", "p_value"] == pytest.approx(0.019078, abs=1e-6)
    assert table.loc["f0", "f"] == pytest.approx(table.loc["f0", "ms"] / found.error.used.ms)
    assert "main effects are tested against the variation between cells" in table.loc["error", "note"]
    width = row(found.effects, "f0", "1")
    half = stats.t.isf(0.025, found.error.used.df)
    assert width["p_value"] == pytest.approx(
        2
        * stats.t.sf(
            abs(width["difference"]) / ((width["difference_high"] - width["difference"]) / half), found.error.used.df
        )
    )


def test_the_fractional_example_is_tested_by_replicate() -> None:
    """Warm-up: +2.00, distinguishable with a common error, becomes -0.76 to +4.76."""
    data = trials(FRACTIONAL)
    found = estimate(data, factors_of(data))
    warm_up = row(found.effects, "f2", "1")
    by_replicate = data.groupby(["replicate", "f2"])["value"].mean().unstack()
    differences = 100 * (by_replicate["1"] - by_replicate["0"])
    low, high = stats.t.interval(0.95, 3, differences.mean(), stats.sem(differences))
    assert (round(differences.mean(), 2), round(low, 2), round(high, 2)) == (2.0, -0.76, 4.76)
    assert 100 * warm_up[["difference", "difference_low", "difference_high"]].to_numpy(dtype=float) == pytest.approx(
        [differences.mean(), low, high]
    )
    assert found.error.source is Source.REPLICATES
    assert found.error.sentences[-1] == "the spread differs between cells (Brown-Forsythe p <0.001)"
    f = found.anova.set_index("term").loc["f2"]
    assert (f["f"], f["p_value"]) == pytest.approx(
        (stats.ttest_1samp(differences, 0).statistic ** 2, warm_up["p_value"])
    )


def test_interactions_without_a_row_of_their_own_are_tested_together() -> None:
    """A 2^(7-3) fraction: 21 interactions share 7 degrees of freedom, one is left for three or more factors."""
    data = trials(FRACTIONAL)
    table = estimate(data, factors_of(data)).anova.set_index("term")
    shown = table[table["df"] > 0]
    assert shown["df"].tolist() == [3, *[1] * 7, 7, 1, 45, 63]
    assert shown["ss"].iloc[:-1].sum() == pytest.approx(shown["ss"].iloc[-1])


def test_a_lost_trial_leaves_its_replicate_out_only_where_it_is_needed() -> None:
    """The other cells of the replicate still determine every main effect of a 2^(7-3) fraction."""
    data = trials(FRACTIONAL).drop(index=0)
    found = estimate(data, factors_of(data))
    assert found.error.source is Source.REPLICATES
    assert found.effects["replicates"].dropna().tolist() == [4] * 7
    saturated = trials("00: 440 441 439\n01: 400 450 380\n10: 430 431 430\n11: 330 440 225")
    lost = estimate(saturated.drop(index=0), factors_of(saturated))
    assert lost.error.source is Source.REPLICATES
    assert lost.effects["replicates"].dropna().tolist() == [2, 2]


def test_means_in_a_complete_design_are_adjusted_for_interactions() -> None:
    """Lost trials of an interacting cell do not shift the effect, which is a mean of the four cells' differences."""
    cells = {("0", "0"): 0.0, ("0", "1"): 1.0, ("1", "0"): 2.0, ("1", "1"): 9.0}
    data = pd.DataFrame(
        [
            {
                "f0": a,
                "f1": b,
                "replicate": r,
                "value": mean + 0.01 * r + 0.001 * (r * (r + 3 * int(a) + 5 * int(b)) % 7),
            }
            for (a, b), mean in cells.items()
            for r in range(1, 6)
        ]
    )
    whole = row(estimate(data, factors_of(data)).effects, "f0", "1")["difference"]
    lost = row(estimate(data.drop(index=[15, 16, 17]), factors_of(data)).effects, "f0", "1")["difference"]
    assert (whole, lost) == (pytest.approx(5, abs=0.01), pytest.approx(5, abs=0.01))


@pytest.mark.parametrize(
    ("pure", "lack", "spread", "share", "interactions", "source"),
    [
        ((40.0, 40), (6.0, 6), EVEN, 0.5, False, Source.WITHIN),  # F = 1
        ((40.0, 40), (30.0, 6), EVEN, 0.5, False, Source.BETWEEN),  # F = 5
        ((40.0, 40), (30.0, 6), UNEVEN, 0.5, False, Source.BETWEEN),
        ((40.0, 40), (30.0, 6), EVEN, 1.0, False, Source.WITHIN),  # all combinations were run
        ((40.0, 40), (30.0, 6), UNEVEN, 1.0, False, Source.REPLICATES),
        ((40.0, 40), (10.0, 6), EVEN, 0.5, False, Source.BETWEEN),  # F = 1.67, p = 0.15
        ((40.0, 40), (10.0, 6), EVEN, 0.5, True, Source.WITHIN),
        ((40.0, 40), (0.0, 0), EVEN, 0.5, False, Source.WITHIN),
        ((0.0, 0), (6.0, 6), EVEN, 0.5, False, Source.BETWEEN),
        ((0.0, 0), (0.0, 0), EVEN, 0.5, False, Source.NONE),
        ((0.0, 40), (6.0, 6), EVEN, 0.5, False, Source.NONE),
    ],
)  # fmt: skip
def test_the_choice_of_the_error(
    pure: tuple[float, int], lack: tuple[float, int], spread: Spread, share: float, interactions: bool, source: Source
) -> None:
    found = choose(Explained(*pure), Explained(*lack), spread, share=share, interactions=interactions, replicates=3)
    assert found.source is source


def test_the_error_between_cells_is_weighted_by_the_combinations_not_run() -> None:
    """Mean squares 1 (40) and 5 (6), half of the combinations: 3, with 9 / (0.25 / 40 + 6.25 / 6) = 8.59 degrees."""
    found = choose(Explained(40.0, 40), Explained(30.0, 6), EVEN, share=0.5, interactions=False, replicates=3)
    assert (found.used.ms, found.used.df) == pytest.approx((3.0, 9 / (0.25 / 40 + 6.25 / 6)))


@pytest.mark.parametrize(
    ("pure", "lack", "spread", "share", "replicates"),
    list(
        itertools.product(
            [(0.0, 0), (0.0, 40), (40.0, 40)],
            [(0.0, 0), (1.0, 1), (30.0, 6)],
            [EVEN, UNEVEN, Spread(float("nan"), 0, float("nan"), float("nan"))],
            [0.1, 1.0],
            [1, 3],
        )
    ),
)
def test_every_case_has_its_sentences(
    pure: tuple[float, int], lack: tuple[float, int], spread: Spread, share: float, replicates: int
) -> None:
    for interactions in (False, True):
        found = choose(
            Explained(*pure), Explained(*lack), spread, share=share, interactions=interactions, replicates=replicates
        )
        text = ". ".join(found.sentences)
        assert text
        assert "nan" not in text
        assert ("lack of fit F" in text) == (pure == (40.0, 40) and lack[1] > 0 and share < 1)
        assert ("Brown-Forsythe" in text) == (pure == (40.0, 40) and spread.tested)


def test_a_saturated_fraction_states_that_lack_of_fit_cannot_be_tested() -> None:
    data = trials("00" + "0: 400 401 405\n011: 410 404 408\n101: 420 425 421\n110: 430 436 431")
    found = estimate(data, factors_of(data))
    assert found.error.sentences[1] == (
        "lack of fit cannot be tested, since a model of main effects has as many terms as there are cells: intervals "
        "assume that there are no interactions"
    )
