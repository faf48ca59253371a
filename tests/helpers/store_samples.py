"""Two stages and a result to store, for tests and for the processes that they start."""

from study.design.stages import Stage
from study.store.results import Result
from study.vit.settings import Encoder, Finetune, Pretrain
from study.vit.stages import StageSettings

PRETRAIN = Stage(StageSettings(Encoder(), Pretrain(dataset="digits")), seed=1)
STAGE = Stage(StageSettings(Encoder(), Finetune(dataset="digits")), 1, PRETRAIN)
RESULT = Result(
    metrics={"test_accuracy": 0.1 + 0.2, "train_seconds": 1e-300},
    facts={"params": 123},
    history=[{"epoch": 1.0, "val_accuracy": 0.5}],
    expert_load=[[0.25, 0.75]],
    provenance={"commit": "abc", "versions": {"python": "3.11"}},
)
