"""How claims with an interval were judged, in sentences: the rule, what it promises, and the error that was chosen."""

from collections.abc import Iterator

from study.analysis.analysis import Analysis
from study.analysis.stats.error_choice import ErrorChoice
from study.analysis.stats.verdict_rule import errors_of
from study.analysis.verdicts import factors_of
from study.report import claim_wording, error_wording
from study.utils.text import plural

RULE = (
    "A claim is *supported* if the interval of its difference is inside the region where the claim holds, and "
    "*refuted* if the interval is outside, both after the adjustment for all claims; otherwise it is *undecided*. The "
    "intervals shown are those of each claim alone."
)
PROMISE = (
    "The probability that any verdict of this study is false is then at most 5 %, if claims and replicates were "
    "written before any result, and if results vary roughly normally over replicates. In simulated studies it was "
    "at most 5.2 %, also with spreads that differ up to 25-fold, and with skewed results of equal spread. With "
    "skewed results whose spread differs 25-fold between cells it was 6 to 9 % for moderate skew (a gamma "
    "distribution of shape 4), and 16 to 34 % for strong skew (lognormal). A verdict is about the mean over all "
    "possible replicates, so about the sources of chance that differ between them. It is about other test images only "
    "if replicates draw them anew from the images of the data set, or if the claim compares a test accuracy with a "
    "number and is tested over replicates and images."
)
OVER_IMAGES = (
    "A verdict on a test accuracy against a number is also about other test images, taken as drawn at random from all "
    "images of their kind, if the predictions of all replicates on the same images are stored. Such a claim is tested "
    "over replicates and images on the logit scale, and over replicates alone; the larger p-value counts, and the "
    "interval contains both. In simulated studies with seven such claims near 100 %, at most 6 % had a false verdict "
    "about other images, and at most 1 % one about the images of the study, for which the test is conservative. If "
    "images hardly differ in difficulty and seeds vary from 95 to 98.5 %, at most 9.5 % had one."
)
AGAINST_NUMBERS = (
    "Claims against a number that are tested over replicates alone need results without skew: the interval of a mean "
    "of moderately skewed results (the same gamma distribution) misses the true mean in 6 to 7 % of simulated "
    "studies. Accuracies near 0 or 100 % are usually skewed, so such a claim is undecided if the standard deviation "
    "of its cell is more than a quarter of the distance from there. Of simulated studies with seven of them, up to "
    "5.7 % then had a false verdict if seeds vary little, up to 7 % if they vary from 96 to 97.8 %, and up to "
    "9.5 % if they vary from 95 to 98.5 %."
)
COLLAPSING = (
    "A claim of non-inferiority is judged by the runs of the study, and few replicates can miss rare collapses. In "
    "simulated studies of a cell that loses 40 points in 5 % of its runs, so 2 points in the mean, it was falsely "
    "found non-inferior (margin: 1 point) in 50 % of studies with 3 replicates, 75 % with 5, 60 % with 10 and 36 % "
    "with 20: in all of these, no run had collapsed."
)
OFTEN_FOUND = {3: 15, 4: 26, 5: 39, 10: 81}  # by replicates: % of studies, strong skew and 25-fold spreads


def sentences(analysis: Analysis) -> Iterator[str]:
    """The rule, the promise, when the claims were written, and the errors of the metrics; Markdown."""
    yield RULE
    yield f"{PROMISE}{claim_wording.registration(analysis)}"
    yield from _against_numbers(analysis)
    if any(claim.kind == "non_inferior" for claim in analysis.facts.tested_claims):
        yield COLLAPSING
    if not analysis.facts.replicates_until and len(analysis.results.done):
        yield from _errors(analysis)
    elif analysis.facts.replicates_until:
        yield (
            "At each look, differences have the error of all cells of the claims that are then undecided, unless equal "
            "spread of these cells is not accepted, and else that of the paired differences; `claims.csv` has which. "
            "Its column `condition` is whether results were skewed at that look."
        )


def _against_numbers(analysis: Analysis) -> Iterator[str]:
    """What claims against a number need, by the error that they have."""
    rows = zip(analysis.facts.claims, analysis.verdicts["error"], strict=True)
    errors = {error for claim, error in rows if claim.by_replicate and isinstance(claim.against, float)}
    if "replicates and images" in errors:
        yield OVER_IMAGES
    if errors - {"replicates and images"}:
        yield AGAINST_NUMBERS


def _errors(analysis: Analysis) -> Iterator[str]:
    """Which error differences have, why, what pairing gains, and how p-values are adjusted."""
    facts, results = analysis.facts, analysis.results
    chosen = errors_of(facts.tested_claims, results.trials, factors_of(results), facts.failures)
    for metric, choice in chosen.items():
        yield error_wording.choice(choice, f"`{metric}`")
        yield condition(metric, choice)
    methods = dict.fromkeys(analysis.verdicts["adjustment"])
    if "Dunnett" in methods:
        yield "P-values are adjusted by the distribution of the largest |t| (Dunnett's method, step-down)."
    elif "Holm" in methods:
        yield "P-values are adjusted by Holm's method."


def condition(metric: str, choice: ErrorChoice[tuple[str, ...]]) -> str:
    """Whether this study's results meet the conditions of the promise, as far as its tests show."""
    found = choice.shape
    if not found.tested:
        return f"Whether `{metric}` is skewed over replicates cannot be tested: too few replicates, or no variation."
    tested = f"`{metric}` (skewness test over {plural(choice.cells, 'cell')}: p = {found.p_value:.2g})"
    if not found.is_skewed:
        weak = "" if choice.n >= max(OFTEN_FOUND) else _weak(choice.n)
        return f"There is no sign that results are skewed in {tested}.{weak}"
    if choice.spread.differs:
        return (
            f"Results are skewed in {tested}, and equal spread is not accepted: the 5 % may not hold for this study. "
            "In the nearest simulated studies, 6 to 34 % had a false verdict (see above)."
        )
    return (
        f"Results are skewed in {tested}, without a sign that spreads differ. If spreads are equal, the 5 % holds for "
        "differences of cells, and not for claims against a number."
    )


def _weak(n: int) -> str:
    nearest = max(known for known in OFTEN_FOUND if known <= n)
    share = f"{OFTEN_FOUND[nearest]} % of simulated studies with 9 cells"
    return f" That is weak evidence: with {plural(nearest, 'replicate')}, this test finds strong skew in {share}."
