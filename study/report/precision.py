"""What a study's replicates can detect, in sentences: ranges over the interval of the SD of its changes."""

import pandas as pd

from study.analysis.stats.forecast import UNREASONABLE, Spread, replicates_to_detect
from study.analysis.stats.power import detectable_effect
from study.utils.text import points


def sentences(compared: pd.DataFrame, of_interest: float) -> str:
    """What they detect, and how many would be needed unless they suffice; `compared` has rows with `sd` above 0."""
    n, sd = int(compared["n"].median()), float(compared["sd"].median())
    df = compared["df"] if "df" in compared else compared["n"] - 1
    freedom = float(df.median())
    spread = Spread.of(sd, freedom, 1.0)
    return (
        f"At the median SD of all changes ({points(sd)}, 80 % interval {points(spread.low)} to {points(spread.high)}), "
        f"{_detected(n, spread, freedom)}; smaller ones mostly go undetected, so not distinguishable does not mean "
        "equal."
        f"{_needed(n, spread, freedom, of_interest)}"
    )


def _detected(n: int, spread: Spread, df: float) -> str:
    low, high = (detectable_effect(n, sd, df=df) for sd in (spread.low, spread.high))
    if low >= 1:
        return f"n = {n} has less than 80 % power for any difference that accuracies can have"
    most = f"to {points(high)}" if high < 1 else "or more"
    return f"n = {n} has 80 % power to detect a true difference of {points(low)} {most}"


def _needed(n: int, spread: Spread, df: float, of_interest: float) -> str:
    (needed,) = replicates_to_detect(of_interest, [spread], [df / max(n - 1, 1)])
    if not needed.is_reasonable:
        return f" A difference of {points(of_interest)} cannot be detected {UNREASONABLE}."
    if needed.high is not None and needed.high <= n:
        return ""
    return f" The same power for {points(of_interest)} needs {needed.text()}."
