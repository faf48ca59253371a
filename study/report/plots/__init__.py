"""The report's plots, by name. A new one is a file here with a PLOT, and a line with the file's name in `_FILES`."""

from importlib import import_module

from study.report.plots.plot import Plot

_FILES = (
    "search_front",
    "claims",
    "claims_seconds",
    "parameters",
    "effects",
    "data_set_effects",
    "adding",
    "variance",
    "main_effects",
    "interactions",
    "confusion",
    "pretraining",
    "finetune_curves",
    "pretrain_curves",
    "expert_load",
    "references",
)

PLOTS: dict[str, Plot] = {name: import_module(f"{__name__}.{name}").PLOT for name in _FILES}
