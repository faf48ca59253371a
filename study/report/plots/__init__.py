"""The report's figures, by name. A new one is a file here with a PLOT, and a line in PLOTS."""

from collections.abc import Mapping

from study.report.plots import (
    claims,
    claims_seconds,
    effects,
    expert_load,
    finetune_curves,
    parameters,
    pretrain_curves,
    pretraining,
    references,
)
from study.report.plots.plot import Plot

PLOTS: Mapping[str, Plot] = {
    "claims": claims.PLOT,
    "claims_seconds": claims_seconds.PLOT,
    "parameters": parameters.PLOT,
    "effects": effects.PLOT,
    "pretraining": pretraining.PLOT,
    "finetune_curves": finetune_curves.PLOT,
    "pretrain_curves": pretrain_curves.PLOT,
    "expert_load": expert_load.PLOT,
    "references": references.PLOT,
}
