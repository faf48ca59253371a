"""Recomputes the numbers of a report from its raw files, without any code of `study`.

    PYTHONPATH=tests python -m helpers.recompute reports/examples/sample

A theme reads raw files (`results.csv`, `history.csv`, `expert_load.csv`, `grid.yaml`) and yields what a derived file
should contain. `check` compares. From derived files themselves only texts are taken, such as names of cells.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from helpers.recompute import cells, claims, curves, data_sets, effects, fits, images, tuning
from helpers.recompute.files import Difference, Expected, Raw, differences

THEMES: Mapping[str, Callable[[Raw], Iterator[Expected]]] = {
    "cells": cells.cells,
    "outlying runs": cells.outlying,
    "intervals over images": images.intervals,
    "comparisons by image": images.comparisons,
    "classes": images.classes,
    "hard images": images.hard_images,
    "parameters": cells.parameters,
    "pretraining": cells.pretraining,
    "effects": effects.effects,
    "adding": effects.adding,
    "claims": claims.claims,
    "claim runs": claims.claim_runs,
    "contrasts": claims.contrasts,
    "budgets": claims.budgets,
    "curves": curves.curves,
    "expert load": curves.expert_load,
    "analysis of variance": fits.anova,
    "main effects": fits.main_effects,
    "interactions": fits.interactions,
    "claims on each data set": data_sets.claims,
    "effects on each data set": data_sets.ranked_effects,
    "methods": data_sets.methods,
    "Pareto front of a search": tuning.front,
    "best trials": tuning.best,
}


def check(folder: Path | str) -> tuple[list[Difference], dict[str, set[str]]]:
    """What differs, and the columns that were compared, by file."""
    raw = Raw(Path(folder))
    expected = [one for theme in THEMES.values() for one in theme(raw)]
    compared: dict[str, set[str]] = {}
    for one in expected:
        compared.setdefault(one.file, set()).add(one.column)
    return differences(raw, expected), compared
