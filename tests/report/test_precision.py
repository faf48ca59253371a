"""The sentences on what a study can detect."""

import pandas as pd

from study.report.precision import sentences


def test_ranges_over_the_interval_of_the_sd() -> None:
    """n = 5: 80 % power from 1.682 SD on (Cohen's d of a paired t-test); the SD's interval is 0.717 to 1.939 points."""
    found = sentences(pd.DataFrame({"n": [5, 5], "sd": [0.01, 0.01]}), 0.01)
    assert "(1 point, 80 % interval 0.717 points to 1.94 points), n = 5 has 80 % power to detect a true" in found
    assert "true difference of 1.21 points to 3.26 points" in found
    assert found.endswith("The same power for 1 point needs 7 to 32 replicates.")


def test_a_difference_that_is_out_of_reach() -> None:
    found = sentences(pd.DataFrame({"n": [3], "sd": [0.05]}), 0.005)
    assert found.endswith(
        "A difference of 0.5 points cannot be detected at any reasonable cost (more than 100 replicates)."
    )


def test_no_difference_is_printed_that_accuracies_cannot_have() -> None:
    """n = 2 has 80 % power from 11.5 SD on. At 13 points the lower end of the SD is 8, at 20 points it is 12."""
    assert "points or more; smaller ones" in sentences(pd.DataFrame({"n": [2], "sd": [0.13]}), 0.005)
    none = "n = 2 has less than 80 % power for any difference that accuracies can have"
    assert none in sentences(pd.DataFrame({"n": [2], "sd": [0.2]}), 0.005)


def test_replicates_that_suffice_need_no_more() -> None:
    assert "needs" not in sentences(pd.DataFrame({"n": [20], "sd": [0.002]}), 0.005)
