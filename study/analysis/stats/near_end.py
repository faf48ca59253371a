"""Whether shares are so close to 0 or 1 that a t interval of their mean is unreliable.

Near an end, shares are discrete and skewed: most runs are equally good, and a rare bad one shows how much they vary. If
it is missing from the sample, the interval is far too narrow. Differences of two cells are not concerned: their skew
cancels.

Simulated with seven claims against the true mean, 3 to 10 replicates and 100 to 2,000 test images of which 90 to 99.5
% are classified correctly, a t-test gives a false verdict in more than 20 % of studies in some settings. If the
standard deviation must be at most a quarter of the mean's distance from the nearer end, it is at most 5.7 %
(`calibrate`) where the seeds vary little, or by 0.3 (the standard deviation on the logit scale) on up to 451 images.
On 2,000 images it is then 7 %. Seeds that vary by 0.6, such as from 95 to 98.5 %, give up to 9.5 %.

This concerns claims that are tested over replicates alone: on other metrics than test accuracy, and where predictions
of all replicates on the same test images are not known. With them, a claim has an error over replicates and images,
which is reliable near the ends too (`share_estimate`).

Shapes: S studies, N replicates.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST = 0.25  # standard deviation over distance from the nearer end


def near_end(shares_SN: Floats) -> npt.NDArray[np.bool_]:
    """(S,) whether the mean of N shares is too close to 0 or 1 for its spread; one share alone is not judged."""
    if shares_SN.shape[1] < 2:
        return np.zeros(len(shares_SN), dtype=np.bool_)
    means_S = shares_SN.mean(axis=1)
    distances_S = np.minimum(means_S, 1 - means_S)
    return np.asarray(shares_SN.std(axis=1, ddof=1) > LARGEST * distances_S)
