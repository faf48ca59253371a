"""Training of one stage: config in, result out; no files, no printing."""

from study.vit.training.execution import Execution, Snapshot
from study.vit.training.finetune import finetune
from study.vit.training.loop import Diverged, Trained
from study.vit.training.pretrain import pretrain

__all__ = ["Diverged", "Execution", "Snapshot", "Trained", "finetune", "pretrain"]
