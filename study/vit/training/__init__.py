"""Training of one stage: settings in, result out; no files, no output.

pretrain, finetune, probe         the three ways of training
loop, execution, snapshots        the epoch loop; snapshots and micro-batches; whether a snapshot can be resumed
batches, images, augment          training and evaluation batches
supervision, metrics              losses and scores on labelled images; means over batches
predictions                       the predicted class of every test image
flat_optimizer, parameter_groups, learning_rate   optimization
device, seeds                     device, precision, compilation; random streams from named axes
pace                              time and memory of a stage, measured on a few steps
"""

from study.vit.training.execution import Execution, Snapshot
from study.vit.training.finetune import finetune
from study.vit.training.loop import Diverged, Trained
from study.vit.training.pretrain import pretrain
from study.vit.training.snapshots import InvalidSnapshot

__all__ = ["Diverged", "Execution", "InvalidSnapshot", "Snapshot", "Trained", "finetune", "pretrain"]
