"""The report's figures, by name. A new one is a file here with a PLOT, and a line in PLOTS."""

from collections.abc import Mapping

from study.report.plots import (
    adding,
    claims,
    claims_seconds,
    effects,
    expert_load,
    finetune_curves,
    interactions,
    main_effects,
    parameters,
    pretrain_curves,
    pretraining,
    references,
    search_front,
    variance,
)
from study.report.plots.plot import Plot

PLOTS: Mapping[str, Plot] = {
    "search_front": search_front.PLOT,
    "claims": claims.PLOT,
    "claims_seconds": claims_seconds.PLOT,
    "parameters": parameters.PLOT,
    "effects": effects.PLOT,
    "adding": adding.PLOT,
    "main_effects": main_effects.PLOT,
    "variance": variance.PLOT,
    "interactions": interactions.PLOT,
    "pretraining": pretraining.PLOT,
    "finetune_curves": finetune_curves.PLOT,
    "pretrain_curves": pretrain_curves.PLOT,
    "expert_load": expert_load.PLOT,
    "references": references.PLOT,
}
