"""Tuned and searched studies whose trials take a tenth of a second, and a function that runs them without Ray."""

from collections.abc import Callable
from pathlib import Path

from study.design.stages import Stage
from study.execution.run_stage import run_stage
from study.planning.events import Outcome
from study.planning.stage_source import StageSource
from study.store.results import Store

TUNED = """\
study: tuned
question: Are both cells treated alike?
baseline:
  encoder:
    image_size: 8
    patch_size: 4
    channels: 1
    width: 8
    depth: 1
    num_heads: 2
    num_kv_heads: 1
    experts_by_depth: [2]
    ffn_width_first: 4
    ffn_width_last: 4
  pretrain:
    dataset: digits
    epochs: 1
    train_images: 50
    decoder: {width: 8, depth: 1, ffn_width: 4, num_heads: 2, num_kv_heads: 1}
  finetune: {dataset: digits, epochs: 1, train_images: 50}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1, 2]}
tune:
  budget: 4
  parameters:
    finetune.learning_rate: {low: 1e-4, high: 1e-2, log: true}
    finetune.batch_size: {low: 10, high: 50, step: 20}
    finetune.augment: {choices: [{}, {flip: true}]}
replicates: 2
"""

_BASELINE = TUNED[: TUNED.index("factors:")]
SEARCH = f"""{_BASELINE}
design: search
search:
  trials: 12
  parallel: 3
  objectives: [params, val_accuracy]
  space:
    encoder.width: {{low: 4, high: 12, step: 4}}
    encoder.depth: {{low: 1, high: 2}}
    finetune.learning_rate: {{low: 1e-3, high: 1e-1, log: true}}
replicates: 1
"""
SEARCH_FACTORS = f"""{_BASELINE}
factors:
  size: {{levels: [{{label: small, set: {{encoder.width: 8}}}}, {{label: large, set: {{encoder.width: 12}}}}]}}
  kv heads: {{path: encoder.num_kv_heads, levels: [1, 2]}}
design: search
search: {{trials: 5, objectives: [val_accuracy]}}
"""

Writer = Callable[..., Path]


def run_here(work: StageSource, store: Store, most: int = 10_000) -> list[Stage]:
    """Run at most `most` stages one by one in this process; returns them in order."""
    waiting, ran = work.more(), []
    while waiting and len(ran) < most:
        stage = waiting.pop(0)
        try:
            run_stage(stage, store, "cpu", lambda row: None)
            outcome = Outcome(stage, "done")
        except Exception as error:
            outcome = Outcome(stage, "failed", str(error))
        ran.append(stage)
        work.ended(outcome)
        waiting += work.more()
    return ran
