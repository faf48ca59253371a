"""Training of one stage: config in, result out; no files, no printing."""

from study.training.execution import Execution, Snapshot
from study.training.finetune import finetune
from study.training.loop import Diverged, Trained
from study.training.pretrain import pretrain

__all__ = ["Diverged", "Execution", "Snapshot", "Trained", "finetune", "pretrain"]
