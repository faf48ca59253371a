"""Means over replicates and test images, with an error that includes both: other seeds, and other images like these.

Shapes: R replicates, N images. `values_RN` has 1 for an image that is classified correctly and 0 for any other; or a
mean of such numbers over cells, or their difference between two cells. Every replicate has the same images.

Replicates and images are crossed, x_rn = mean + replicate_r + image_n + residual_rn, all random. With the mean squares
A of replicates, B of images and E of the residuals, the variance of the mean is estimated by

    (max(A, E) + max(B, E) - E) / (R N)

which is unbiased apart from the cut of negative components at 0, and its degrees of freedom by Satterthwaite (1946,
Biometrics Bull. 2:110-114). It is the analysis of readers and cases in radiology (Obuchowski & Rockette 1995, Commun.
Stat. Simul. 24:285-308; Gallas et al. 2009, Commun. Stat. Theory 38:2586-2603). The bootstrap that resamples both ways
(Owen 2007, Ann. Appl. Stat. 1:386-411) estimates about A + B, which is too much, and its
percentiles cover too rarely near 100 %.
"""

import math
from dataclasses import dataclass

from scipy import special  # type: ignore[import-untyped]

from study.analysis.stats.estimate import Estimate
from study.analysis.stats.intervals import Floats, estimate_of

_ROUNDING = 1e-12  # of mean squares of values of about 1


@dataclass(frozen=True)
class Crossed:
    """Mean squares A, B and E of R replicates and N images, where A and B are at least E."""

    replicates: int
    images: int
    a: float
    b: float
    e: float

    @classmethod
    def of(cls, values_RN: Floats) -> "Crossed":
        """At least two of each are needed."""
        (replicates, images), (a, b, e) = values_RN.shape, mean_squares(values_RN)
        return cls(replicates, images, max(a, e), max(b, e), e)

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt((self.a + self.b - self.e) / (self.replicates * self.images))

    @property
    def df(self) -> float:
        """The error's degrees of freedom, at least those of the replicates."""
        replicates, images = self.replicates - 1, self.images - 1
        spread = self.a**2 / replicates + self.b**2 / images + self.e**2 / (replicates * images)
        return max((self.a + self.b - self.e) ** 2 / spread, replicates) if spread > 0 else replicates

    def at(self, replicates: int, images: int) -> "Crossed":
        """What these components of variance give with other numbers of replicates and images, at least two each."""
        of_replicates, of_images = (self.a - self.e) / self.images, (self.b - self.e) / self.replicates
        return Crossed(replicates, images, self.e + images * of_replicates, self.e + replicates * of_images, self.e)


def mean_squares(values_RN: Floats) -> tuple[float, float, float]:
    """A of replicates, B of images and E of the residuals; at least two of each are needed."""
    replicates, images = values_RN.shape
    mean, by_replicate, by_image = values_RN.mean(), values_RN.mean(axis=1), values_RN.mean(axis=0)
    residuals = values_RN - by_replicate[:, None] - by_image[None, :] + mean
    a = images * float(((by_replicate - mean) ** 2).sum()) / (replicates - 1)
    b = replicates * float(((by_image - mean) ** 2).sum()) / (images - 1)
    e = float((residuals**2).sum()) / ((replicates - 1) * (images - 1))
    return _positive(a), _positive(b), _positive(e)


def _positive(square: float) -> float:
    return square if square > _ROUNDING else 0.0


def item_estimate(values_RN: Floats) -> Estimate:
    """The mean, and its error over replicates and images; the error is nan with fewer than two of either."""
    replicates, images = values_RN.shape
    mean = float(values_RN.mean()) if values_RN.size else math.nan
    if replicates < 2 or images < 2:
        return Estimate(mean, math.nan, 0, replicates)
    found = Crossed.of(values_RN)
    return Estimate(mean, found.error, found.df, replicates)


def on_logit_scale(shares_RN: Floats) -> tuple[float, Crossed]:
    """The share whose logit is estimated, and its mean squares; at least two replicates and images are needed.

    This is the mean share. Where shares do not vary, as if all images are right in every replicate, half an image is
    added to both sides (Anscombe 1956, Biometrika 43:461-464), and the error is that of the images.
    """
    (replicates, images), mean, found = shares_RN.shape, float(shares_RN.mean()), Crossed.of(shares_RN)
    if found.error > 0:
        return mean, found
    share = (images * mean + 0.5) / (images + 1)
    variance = share * (1 - share) / (images + 1)
    return share, Crossed(replicates, images, 0.0, replicates * images * variance, 0.0)


def logit_item_estimate(shares_RN: Floats) -> Estimate:
    """`item_estimate` of shares from 0 to 1, as the logit of their mean with its error by the delta method.

    Accuracies near 100 % have skewed errors, which are nearly symmetric on this scale.
    """
    replicates, images = shares_RN.shape
    if replicates < 2 or images < 2:
        return item_estimate(shares_RN)
    share, found = on_logit_scale(shares_RN)
    return Estimate(float(special.logit(share)), found.error / (share * (1 - share)), found.df, replicates)


def item_interval(shares_RN: Floats, level: float = 0.95) -> tuple[float, float]:
    """The ends of the interval of a mean share over replicates and images; nan with fewer than two of either.

    It is computed on the logit scale and widened to contain the t interval over replicates alone: with few replicates
    the degrees of freedom are themselves uncertain (see `calibrate`). Raises StudyError for a level outside (0, 1).
    """
    low, high = special.expit(logit_item_estimate(shares_RN).interval(level))
    seeds = estimate_of(shares_RN.mean(axis=1)).interval(level)
    return max(min(float(low), seeds[0]), 0.0), min(max(float(high), seeds[1]), 1.0)


def item_difference(differences_RN: Floats, level: float = 0.95) -> tuple[Estimate, tuple[float, float], float]:
    """A mean difference of two cells over the same images, its interval, and the p-value of a difference of 0.

    With one replicate and its images as the only sample this would be McNemar's test (1947, Psychometrika 12:153-157).
    The p-value is the larger of this test and of the paired t-test over replicates, if that is defined, and the
    interval contains both. Raises StudyError for a level outside (0, 1).
    """
    found, seeds = item_estimate(differences_RN), estimate_of(differences_RN.mean(axis=1))
    ends = [each.interval(level) for each in (found, seeds)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    defined = [p for p in (found.p_value(), seeds.p_value()) if not math.isnan(p)]
    return found, (max(low, -1.0), min(high, 1.0)), max(defined, default=math.nan)
