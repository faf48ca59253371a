"""Least-squares fits of designs whose cells change several factors: analysis of variance, means and effects.

Each model is a matrix with a column per level, solved by pseudo-inverse. Designs with sums of aliased interactions, and
studies without replicates of any cell, are not recomputed; nor are those of resolution 3.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from helpers.recompute import effects
from helpers.recompute.files import Expected, Raw
from helpers.recompute.formulas import equal_spread, holm, mean_interval, t_test
from scipy import stats

VARIANCE, MEANS, PAIRS = "figures/variance.csv", "figures/main_effects.csv", "figures/interactions.csv"
TIMES = "\u00d7"
Term = tuple[int, ...]
Numbers = dict[str, float]


@dataclass(frozen=True)
class Found:
    """Estimate, interval, p, degrees of freedom and replicates of a combination of coefficients."""

    mean: float
    low: float
    high: float
    p_value: float
    df: float
    n: int

    @property
    def sd(self) -> float:
        """The standard error times the root of n."""
        return (self.high - self.low) / 2 * math.sqrt(self.n) / float(stats.t.ppf(0.975, self.df))


class Design:
    """The finished trials of a study, and the error of its effects."""

    def __init__(self, raw: Raw) -> None:
        self.raw, self.names = raw, raw.factors
        base = raw.cells[raw.baseline]
        self.labels = [
            sorted(set(raw.counted[name]), key=lambda level, own=own: level != own)
            for name, own in zip(self.names, base, strict=True)
        ]
        self.codes = np.array(
            [
                [self.labels[i].index(row[i]) for i in range(len(self.names))]
                for row in raw.counted[self.names].to_numpy()
            ]
        )
        self.replicates = np.unique(raw.counted["replicate"].to_numpy(), return_inverse=True)[1]
        self.values = raw.counted["test_accuracy"].to_numpy(dtype=float)
        self.cells = np.unique(self.codes, axis=0, return_inverse=True)[1].reshape(-1)
        self.mains: list[Term] = [(i,) for i in range(len(self.names))]
        self.pairs = [
            pair
            for pair in itertools.combinations(range(len(self.names)), 2)
            if (self.codes[:, pair] > 0).all(axis=1).any()
        ]

    def columns(self, terms: Sequence[Term], replicates: bool = True) -> np.ndarray:
        parts = [np.ones((len(self.values), 1))]
        parts += [dummies(self.replicates, self.replicates.max() + 1)] if replicates else []
        for term in terms:
            part = np.ones((len(self.values), 1))
            for i in term:
                own = dummies(self.codes[:, i], len(self.labels[i]))
                part = np.einsum("ta,tb->tab", part, own).reshape(len(part), -1)
            parts.append(part)
        return np.hstack(parts)

    def weights(self, terms: Sequence[Term], at: dict[int, int], replicates: bool = True) -> np.ndarray:
        """Of the mean at these levels, over all levels of the other factors."""
        count = self.replicates.max() + 1
        parts = [np.ones(1), np.full((count - 1) * replicates, 1 / count)]
        for term in terms:
            part = np.ones(1)
            for i in term:
                levels = len(self.labels[i])
                own = np.eye(levels)[at[i]] if i in at else np.full(levels, 1 / levels)
                part = np.outer(part, own[1:]).reshape(-1)
            parts.append(part)
        return np.concatenate(parts)

    def residual(self, columns: np.ndarray) -> tuple[float, int]:
        found, _, rank, _ = np.linalg.lstsq(columns, self.values)
        return float(((self.values - columns @ found) ** 2).sum()), len(self.values) - int(rank)

    def added(self, terms: Sequence[Term], term: Term) -> tuple[float, int]:
        """Sum of squares and degrees of freedom that a term adds to others."""
        return less(self.residual(self.columns(terms)), self.residual(self.columns([*terms, term])))

    @cached_property
    def pure(self) -> tuple[float, int]:
        cells = dummies(self.cells, self.cells.max() + 1)
        return self.residual(np.hstack([self.columns([]), cells]))

    @cached_property
    def terms(self) -> list[Term]:
        """All terms if they determine every mean, else the main effects."""
        terms = [*self.mains, *self.pairs]
        places = [{i: code} for i, labels in enumerate(self.labels) for code in range(len(labels))]
        wanted = np.array([self.weights(terms, at) for at in places])
        columns = self.columns(terms)
        projected = wanted @ np.linalg.pinv(columns) @ columns
        return terms if np.allclose(projected, wanted, atol=1e-8) else self.mains

    @cached_property
    def lack(self) -> tuple[float, int]:
        return less(self.residual(self.columns(self.terms)), self.pure)

    @cached_property
    def error(self) -> tuple[str, float, float]:
        """What effects are tested against, its mean square and degrees of freedom."""
        pure, lack = (ss / df if df else math.nan for ss, df in (self.pure, self.lack))
        df, lack_df = self.pure[1], self.lack[1]
        share = (self.cells.max() + 1) / math.prod(map(len, self.labels))
        level = 0.05 if self.terms != self.mains else 0.25
        if share < 1 and lack_df and stats.f.sf(lack / pure, lack_df, df) < level:
            parts = (share * pure, (1 - share) * lack)
            return "between", sum(parts), sum(parts) ** 2 / (parts[0] ** 2 / df + parts[1] ** 2 / lack_df)
        spread = equal_spread([self.values[self.cells == cell].tolist() for cell in range(self.cells.max() + 1)])
        return ("replicates" if spread < 0.25 else "within"), pure, df

    def by_replicate(self, terms: Sequence[Term], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(replicates, rows) combinations in separate fits, nan where not determined; and their mean covariance."""
        values, covariances = [], []
        whole = self.columns(terms, replicates=False)
        for replicate in range(self.replicates.max() + 1):
            own = self.replicates == replicate
            solved = weights @ np.linalg.pinv(whole[own])
            known = np.allclose(solved @ whole[own], weights, atol=1e-8)
            values.append(solved @ self.values[own] if known else np.full(len(weights), math.nan))
            covariances += [solved @ solved.T] if known else []
        return np.array(values), np.mean(covariances, axis=0)

    def find(self, terms: Sequence[Term], plus: dict[int, int], minus: dict[int, int] | None = None) -> Found:
        """The mean at these levels, less that at others."""
        source, ms, df = self.error
        own = source != "replicates"
        weights = self.weights(terms, plus, own) - (self.weights(terms, minus, own) if minus is not None else 0)
        if not own:
            values, _ = self.by_replicate(terms, weights[None])
            known = values[~np.isnan(values)].tolist()
            if len(known) < 2:
                return Found(known[0] if known else math.nan, *[math.nan] * 4, len(known))
            found = mean_interval(known, -math.inf, math.inf)
            return Found(found["mean"], found["low"], found["high"], t_test(known), len(known) - 1, len(known))
        solved = weights @ np.linalg.pinv(self.columns(terms))
        mean, error = float(solved @ self.values), math.sqrt(float(solved @ solved) * ms)
        half = float(stats.t.ppf(0.975, df)) * error
        return Found(
            mean,
            mean - half,
            mean + half,
            float(2 * stats.t.sf(abs(mean) / error, df)) if error > 1e-9 else math.nan,
            df,
            int(self.replicates.max()) + 1,
        )


def dummies(codes: np.ndarray, count: int) -> np.ndarray:
    return np.eye(count)[codes][:, 1:]


def less(smaller: tuple[float, int], larger: tuple[float, int]) -> tuple[float, int]:
    return smaller[0] - larger[0], smaller[1] - larger[1]


def table(design: Design) -> dict[str, Numbers]:
    """The analysis of variance by name of the term, with rows that have no degrees of freedom."""
    total = float(((design.values - design.values.mean()) ** 2).sum())
    replicates = less(
        design.residual(np.hstack([np.ones((len(design.values), 1)), dummies(design.cells, design.cells.max() + 1)])),
        design.pure,
    )
    base = total - replicates[0]
    rows: dict[str, Numbers] = {}
    for term in design.mains:
        rows[design.names[term[0]]] = _main(design, term)
    for pair in design.pairs:
        others = [*design.mains, *(other for other in design.pairs if other != pair)]
        rows[f" {TIMES} ".join(design.names[i] for i in pair)] = _tested(*design.added(others, pair), *_pure(design))
    for row, p_adjusted in zip(rows.values(), holm([row["p_value"] for row in rows.values()]), strict=True):
        row["p_adjusted"] = p_adjusted
    rows |= _rest(design)
    for row in rows.values():
        row["eta_squared"] = row["ss"] / base
        row["omega_squared"] = max((row["ss"] - row["df"] * _pure(design)[0]) / (base + _pure(design)[0]), 0.0)
    if design.raw.untested(design.raw.cells):  # every row rests on all trials
        for row in rows.values():
            row |= dict.fromkeys({"p_value", "p_adjusted"} & row.keys(), math.nan)
    rows["error"] = {
        "ss": design.pure[0],
        "df": design.pure[1],
        "ms": _pure(design)[0],
        "eta_squared": design.pure[0] / base,
    }
    return rows


def _pure(design: Design) -> tuple[float, float]:
    return design.pure[0] / design.pure[1], design.pure[1]


def _tested(ss: float, df: int, error: float, error_df: float) -> Numbers:
    if df == 0:
        return {"ss": math.nan, "df": 0, "ms": math.nan, "f": math.nan, "p_value": math.nan}
    if not error > 1e-18:
        return {"ss": ss, "df": df, "ms": ss / df, "f": math.nan, "p_value": math.nan}
    f = ss / df / error
    return {"ss": ss, "df": df, "ms": ss / df, "f": f, "p_value": float(stats.f.sf(f, df, error_df))}


def _main(design: Design, term: Term) -> Numbers:
    """Type II: after all others that do not contain it, unless that costs degrees of freedom."""
    others = [other for other in design.mains if other != term]
    alone = design.added(others, term)
    after = design.added([*others, *(pair for pair in design.pairs if term[0] not in pair)], term)
    ss, df = after if after[1] == alone[1] else alone
    source, error, error_df = design.error
    row = _tested(ss, df, error, error_df)
    return row | _replicated(design, term) if source == "replicates" else row


def _replicated(design: Design, term: Term) -> Numbers:
    """Against the interaction with replicates; with 1 and n - 1 degrees of freedom, exact for two levels."""
    means = np.array(
        [design.weights(design.terms, {term[0]: code}, False) for code in range(len(design.labels[term[0]]))]
    )
    values, covariance = design.by_replicate(design.terms, means[1:] - means[0])
    values = values[~np.isnan(values).any(axis=1)]
    n, inverse = len(values), np.linalg.inv(covariance)
    off = values - values.mean(axis=0)
    between = n * values.mean(axis=0) @ inverse @ values.mean(axis=0)
    f = between / (sum(row @ inverse @ row for row in off) / (n - 1))
    return {"f": float(f), "p_value": float(stats.f.sf(f, 1, n - 1))}


def _rest(design: Design) -> dict[str, Numbers]:
    """What is left between cells: interactions that cannot be separated, and lack of fit."""
    rows = {}
    if design.terms != design.mains:
        shown = [
            pair
            for pair in design.pairs
            if design.added([*design.mains, *(other for other in design.pairs if other != pair)], pair)[1]
        ]
        together = less(
            design.residual(design.columns([*design.mains, *shown])), design.residual(design.columns(design.terms))
        )
        if together[1]:
            rows["two-factor interactions together"] = _tested(*together, *_pure(design))
    if design.lack[1]:
        name = "three or more factors" if design.terms != design.mains else "lack of fit of the main effects"
        rows[name] = _tested(*design.lack, *_pure(design))
    return rows


def is_recomputed(raw: Raw) -> bool:
    """Whether its fit is."""
    return raw.grid.get("resolution") != 3 and len(raw.counted) > 0 and Design(raw).pure[1] > 0


def anova(raw: Raw) -> Iterator[Expected]:
    if not raw.has(VARIANCE) or not is_recomputed(raw):
        return
    for term, row in table(Design(raw)).items():
        if row["df"]:
            yield from (Expected(VARIANCE, {"term": term}, name, value) for name, value in row.items())


def _effects(design: Design) -> dict[tuple[str, str], tuple[Found, Found | None]]:
    """The mean at every level, and its difference from the factor's first."""
    found = {}
    for i, labels in enumerate(design.labels):
        for code, label in enumerate(labels):
            change = design.find(design.terms, {i: code}, {i: 0}) if code else None
            found[design.names[i], label] = (design.find(design.terms, {i: code}), change)
    return found


def main_effects(raw: Raw) -> Iterator[Expected]:
    """Means and differences from the fit; and the effects, unless they are matched comparisons."""
    if not raw.has(MEANS) or not is_recomputed(raw):
        return
    design = Design(raw)
    found = _effects(design)
    changes = {place: change for place, (_, change) in found.items() if change}
    if raw.untested(raw.cells):
        changes = {place: replace(change, p_value=math.nan) for place, change in changes.items()}
    adjusted = dict(zip(changes, _holm(raw, [change.p_value for change in changes.values()]), strict=False))
    for place, (mean, _) in found.items():
        change = changes.get(place)
        row: Numbers = {"n": int((raw.counted[place[0]] == place[1]).sum()), "mean": mean.mean}
        row |= {"low": max(mean.low, 0.0), "high": min(mean.high, 1.0)}
        if change:
            row |= {"difference": change.mean, "difference_low": change.low, "difference_high": change.high}
            row |= {"p_value": change.p_value, "p_adjusted": adjusted[place], "df": change.df, "replicates": change.n}
        where = {"factor": place[0], "level": place[1]}
        yield from (Expected(MEANS, where, name, value) for name, value in row.items())
    if not effects.is_matched(raw):
        rows = {place: row for place, row in effect_rows(raw).items() if place in effects.matches(raw)}
        p_values = _holm(raw, [float(row["p_value"]) for row in rows.values()])[: len(rows)]
        yield from effects.judged(effects.FILE, ("factor", "level"), rows, ("Holm", p_values), raw.margin)


def _holm(raw: Raw, p_values: list[float]) -> list[float]:
    """Adjusted; levels without any result count as comparisons, and come last."""
    levels = {place for levels in raw.cells.values() for place in zip(raw.factors, levels, strict=True)}
    known = {(name, level) for name in raw.factors for level in raw.counted[name]}
    return holm([*p_values, *[math.nan] * len(levels - known)])


def effect_rows(raw: Raw) -> dict[effects.Place, effects.Row]:
    """Each level compared with the factor's first, from the fit."""
    if not is_recomputed(raw):
        return {}
    design = Design(raw)
    changes = {place: change for place, (_, change) in _effects(design).items() if change}
    if raw.untested(raw.cells):
        changes = {place: replace(change, p_value=math.nan) for place, change in changes.items()}
    return {place: _row(raw, place, change, design.error[0]) for place, change in changes.items()}


def _row(raw: Raw, place: tuple[str, str], change: Found, error: str) -> effects.Row:
    own = raw.counted[raw.counted[place[0]] == place[1]]
    return {
        "n": min(own["replicate"].nunique(), change.n),
        "combinations": own["cell"].nunique(),
        "difference": change.mean,
        "p_value": change.p_value,
        "low": max(change.low, -1),
        "high": min(change.high, 1),
        "sd": math.nan if error == "between" else change.sd,
        "df": change.df,
        "error": "fit",
        "effect_size": math.nan,
    }


def interactions(raw: Raw) -> Iterator[Expected]:
    """Means at pairs of levels; which pairs are shown is taken from the file."""
    if not raw.has(PAIRS) or not is_recomputed(raw):
        return
    design = Design(raw)
    rows = table(design)
    for _, shown in raw.derived(PAIRS).iterrows():
        pair = tuple(design.names.index(shown[f"factor_{side}"]) for side in "ab")
        codes = tuple(design.labels[i].index(shown[f"level_{side}"]) for i, side in zip(pair, "ab", strict=True))
        mean = design.find([*design.mains, pair], dict(zip(pair, codes, strict=True)))
        count = int((design.codes[:, pair] == codes).all(axis=1).sum())
        row: Numbers = {"n": count, "mean": mean.mean, "low": max(mean.low, 0.0), "high": min(mean.high, 1.0)}
        term = rows[shown["term"]]
        row |= {"share": term["eta_squared"], "p_value": term["p_value"], "p_adjusted": term["p_adjusted"]}
        where = {name: shown[name] for name in ("factor_a", "level_a", "factor_b", "level_b")}
        yield from (Expected(PAIRS, where, name, value) for name, value in row.items())
