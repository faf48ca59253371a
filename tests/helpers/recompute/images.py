"""Results image by image, from `predictions.npz`: intervals over test images, comparisons, classes and hard images."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import holm
from scipy import stats

CELLS, COMPARISONS, CLASSES = "cells.csv", "image_comparisons.csv", "classes.csv"
CONFUSIONS, HARD = "confusions.csv", "hard_images.csv"


@dataclass(frozen=True)
class Predictions:
    """Predicted classes of one cell (replicates, images), of a test split."""

    split: int
    labels: np.ndarray
    names: Sequence[str]
    replicates: Sequence[int]
    predicted: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        return (self.predicted == self.labels).astype(float)


def predictions(raw: Raw) -> dict[str, Predictions]:
    """Of the cells whose finished trials all have them, on one test split."""
    if not raw.has("predictions.npz"):
        return {}
    with np.load(raw.folder / "predictions.npz") as stored:
        arrays = dict(stored)
    found = {}
    failed = set(raw.trials.loc[raw.trials["status"] == "failed", "cell"])
    for cell, own in raw.done.groupby("cell", sort=False):
        if raw.grid.get("failures") == "worst" and cell in failed:  # a failed trial has no predictions to count
            continue
        for i in range(len(arrays["images"])):
            keys = [key.decode() for key in arrays[f"keys_{i}"]]
            if set(own["key"]) <= set(keys):
                labels = arrays[f"labels_{i}"].astype(int)
                shifts = arrays[f"shifts_{i}"][[keys.index(key) for key in own["key"]]].astype(int)
                names = arrays[f"class_names_{i}"].tolist() or [str(k) for k in range(int(arrays[f"classes_{i}"]))]
                predicted = (shifts + labels) % int(arrays[f"classes_{i}"])
                found[str(cell)] = Predictions(i, labels, names, own["replicate"].tolist(), predicted)
    return found


def crossed(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard error and degrees of freedom, with replicates and images both random."""
    count, images = values.shape
    if count < 2 or images < 2:
        return float(values.mean()), math.nan, 0.0
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    left = values - rows - columns + values.mean()
    degrees = (count - 1, images - 1, (count - 1) * (images - 1))
    squares = [images * rows.var() * count, count * columns.var() * images, (left**2).sum()]
    a, b, e = (max(float(ss) / df, 0.0) for ss, df in zip(squares, degrees, strict=True))
    a, b = max(a, e), max(b, e)
    spread = a**2 / degrees[0] + b**2 / degrees[1] + e**2 / degrees[2]
    df = max((a + b - e) ** 2 / spread, count - 1) if spread > 1e-24 else count - 1
    error = math.sqrt((a + b - e) / values.size)
    return float(values.mean()), 0.0 if error < 1e-12 else error, df


def _t_interval(mean: float, error: float, df: float) -> tuple[float, float]:
    half = float(stats.t.ppf(0.975, df)) * error if df > 0 else math.nan
    return mean - half, mean + half


def _seeds(values: np.ndarray) -> tuple[float, float, float]:
    """The same over replicates alone."""
    means = values.mean(axis=1)
    error = means.std(ddof=1) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    return float(means.mean()), 0.0 if error < 1e-12 else error, len(means) - 1


def on_logits(shares: np.ndarray) -> tuple[float, float, float]:
    """Logit of the mean, its error and degrees of freedom; of shares that do not vary, half an image more on both
    sides."""
    (mean, error, df), images = crossed(shares), shares.shape[1]
    if error > 0:
        return math.log(mean / (1 - mean)), error / (mean * (1 - mean)), df
    right = images * mean + 0.5
    wrong = images + 1 - right
    return math.log(right / wrong), math.sqrt(1 / right + 1 / wrong), images - 1


def interval_of(shares: np.ndarray, level: float) -> tuple[float, float]:
    """Of a mean share: on the logit scale, and at least as wide as that over replicates."""
    (logit, error, df), (mean, own, left) = on_logits(shares), _seeds(shares)
    half, wide = (float(stats.t.ppf((1 + level) / 2, k)) for k in (df, left))
    low, high = (1 / (1 + math.exp(-(logit + side * half * error))) for side in (-1, 1))
    return max(min(low, mean - wide * own), 0.0), min(max(high, mean + wide * own), 1.0)


def p_values_of(shares: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The levels at which that interval is just between these shares, and just beyond them; infinite ends are none."""
    ends = [-math.inf if end <= 0 else math.inf if end >= 1 else math.log(end / (1 - end)) for end in (low, high)]
    tests = [(on_logits(shares), ends), (_seeds(shares), [low, high])]
    between, beyond = [], []
    for (mean, error, df), (below, above) in tests:
        if error > 0:
            sides = [(mean - below) / error, (mean - above) / error]
            between.append(2 * max(stats.t.sf(sides[0], df), stats.t.cdf(sides[1], df)))
            beyond.append(2 * min(stats.t.cdf(sides[0], df), stats.t.sf(sides[1], df)))
        else:
            between.append(0.0 if below < mean < above else 1.0)
            beyond.append(0.0 if mean < below or mean > above else 1.0)
    return min(max(between), 1.0), min(max(beyond), 1.0)


def shares_of(raw: Raw, groups: Sequence[Sequence[tuple[int, str]]], n: int) -> np.ndarray | None:
    """By replicate up to n and image: the share of these cells that are right. None unless all finished trials have
    predictions of the same images, and all cells the same replicates."""
    if not raw.has("predictions.npz"):
        return None
    cells = [cell for group in groups for _, cell in group]
    own = raw.done[raw.done["cell"].isin(cells) & (raw.done["replicate"] <= n)].sort_values("replicate")
    with np.load(raw.folder / "predictions.npz") as stored:
        arrays = dict(stored)
    for i in range(len(arrays["images"])):
        right = {key.decode(): row == 0 for key, row in zip(arrays[f"keys_{i}"], arrays[f"shifts_{i}"], strict=True)}
        replicates = {tuple(own.loc[own["cell"] == cell, "replicate"]) for cell in cells}
        if len(replicates) == 1 and set(own["key"]) <= set(right) and len(own):
            rows = [[right[key] for key in own.loc[own["cell"] == cell, "key"]] for cell in cells]
            return np.mean(np.array(rows, dtype=float), axis=0)
    return None


def intervals(raw: Raw) -> Iterator[Expected]:
    """Of each cell's accuracy: on the logit scale, and at least as wide as that over replicates."""
    found = predictions(raw)
    for cell in raw.cells if found else ():
        low = high = math.nan
        if cell in found and len(found[cell].replicates) > 1:
            low, high = interval_of(found[cell].correct, 0.95)
        yield Expected(CELLS, {"cell": cell}, "item_low", low)
        yield Expected(CELLS, {"cell": cell}, "item_high", high)


def comparisons(raw: Raw) -> Iterator[Expected]:
    """Each cell with its reference, which is taken from cells.csv."""
    found, rows = predictions(raw), {}
    if not raw.has(COMPARISONS):
        return
    references = raw.derived(CELLS).set_index("cell")["reference"]
    for cell, other in references.items():
        if other and cell in found and other in found and found[cell].split == found[other].split:
            both = [
                (i, found[other].replicates.index(r))
                for i, r in enumerate(found[cell].replicates)
                if r in found[other].replicates
            ]
            change = found[cell].correct[[i for i, _ in both]] - found[other].correct[[j for _, j in both]]
            gained, lost = (change > 0).sum(axis=1), (change < 0).sum(axis=1)
            row = {"n": len(both), "images": change.shape[1], "gained": gained.mean(), "lost": lost.mean()}
            row["by_replicate"] = " ".join(f"{more}/{fewer}" for more, fewer in zip(gained, lost, strict=True))
            tests = [crossed(change), _seeds(change)]
            ends = [_t_interval(*test) for test in tests]
            p_values = [_p_value(*test) for test in tests]
            row |= {
                "difference": tests[0][0],
                "low": max(min(low for low, _ in ends), -1),
                "high": min(max(high for _, high in ends), 1),
            }
            rows[cell] = row | {"p_value": max((p for p in p_values if not math.isnan(p)), default=math.nan)}
    for (cell, row), p_adjusted in zip(rows.items(), holm([row["p_value"] for row in rows.values()]), strict=True):
        yield from (Expected(COMPARISONS, {"cell": cell}, *pair) for pair in (row | {"p_adjusted": p_adjusted}).items())


def _p_value(mean: float, error: float, df: float) -> float:
    if error > 0:
        return float(2 * stats.t.sf(abs(mean) / error, df))
    return 1.0 if error == 0 and mean == 0 else math.nan


def classes(raw: Raw) -> Iterator[Expected]:
    """Accuracy by class and confusions, of the baseline and of the cell that is best on validation data."""
    found = predictions(raw)
    if raw.baseline not in found:
        return
    base = found[raw.baseline]
    means = raw.done.groupby("cell", sort=False)["val_accuracy"].mean()
    same = [cell for cell in found if found[cell].split == base.split]
    best = max(same, key=lambda cell: means[cell])
    for label in np.unique(base.labels):
        own = base.labels == label
        row = {"class": base.names[label], "images": int(own.sum()), "baseline": base.correct[:, own].mean()}
        row["best"] = found[best].correct[:, own].mean() if best != raw.baseline else math.nan
        yield from (Expected(CLASSES, {"label": int(label)}, *pair) for pair in row.items())
        for cell in dict.fromkeys((raw.baseline, best)):
            for k, count in Counter(found[cell].predicted[:, own].reshape(-1).tolist()).items():
                place = {"cell": cell, "true": base.names[label], "predicted": base.names[k]}
                images = count / len(found[cell].replicates)
                for file in filter(raw.has, (CONFUSIONS, "figures/confusion.csv")):
                    yield Expected(file, place, "images", images)
                    yield Expected(file, place, "share", images / own.sum())


def hard_images(raw: Raw) -> Iterator[Expected]:
    """How many trials are wrong on each image of the baseline's test split."""
    found = predictions(raw)
    if raw.baseline not in found:
        return
    base = found[raw.baseline]
    every = np.concatenate([own.predicted for own in found.values() if own.split == base.split])
    for i, label in enumerate(base.labels):
        wrong = Counter(k for k in every[:, i].tolist() if k != label)
        if wrong:
            confused = min(wrong, key=lambda k: (-wrong[k], k))
            row = {
                "class": base.names[label],
                "wrong_class": base.names[confused],
                "wrong": wrong.total(),
                "trials": len(every),
            }
            yield from (Expected(HARD, {"index": i}, *pair) for pair in row.items())
