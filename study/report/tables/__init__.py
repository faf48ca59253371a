"""The report's tables, by name. A new one is a file here with a TABLE, and a line with the file's name in `_FILES`."""

from importlib import import_module

from study.report.tables.report_table import ReportTable

_FILES = (
    "claims",
    "claims_paper",
    "cells",
    "budgets",
    "cells_paper",
    "device",
    "effects",
    "data_set_claims",
    "data_set_effects",
    "data_set_ranks",
    "data_set_aggregates",
    "comparisons",
    "contrasts",
    "image_comparisons",
    "classes",
    "confused",
    "hard_images",
    "anova",
    "adding",
    "pretraining",
    "expert_load",
    "tuning",
    "search",
    "importances",
    "search_trials",
    "references",
    "unfinished",
    "outlying",
    "trials",
    "aliases",
    "origins",
)

TABLES: dict[str, ReportTable] = {name: import_module(f"{__name__}.{name}").TABLE for name in _FILES}
