"""Time of a plan of 100,000 cells: python tests/benchmarks/bench_plan.py

Ten levels each of five factors, three of them in the encoder, pre-training shared by a hundred cells. Processor time,
so that what else the machine does matters little.
"""

import json
import resource
import tempfile
import time
from pathlib import Path

from study.cli.plan import as_json
from study.design.study import load
from study.planning.plan import make_plan
from study.planning.state import StudyState
from study.store.results import Store

GRID = {
    "study": "large",
    "question": "How long does a plan take?",
    "baseline": {
        "encoder": {"preset": "XXS"},
        "pretrain": {"dataset": "cifar100"},
        "finetune": {"dataset": "cifar10"},
    },
    "factors": {
        "first": {"path": "encoder.ffn_width_first", "levels": list(range(81, 71, -1))},
        "last": {"path": "encoder.ffn_width_last", "levels": list(range(27, 17, -1))},
        "depth": {"path": "encoder.depth", "levels": list(range(9, 19))},
        "rate": {"path": "finetune.learning_rate", "levels": [i / 1000 for i in range(1, 11)]},
        "decay": {"path": "finetune.weight_decay", "levels": [i / 100 for i in range(5, 15)]},
    },
    "design": "factorial",
    "replicates": 1,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.yaml"
        path.write_text(json.dumps(GRID))
        started = time.process_time()
        study = load(path)
        loaded = time.process_time()
        plan = make_plan(StudyState.look(study, Store(Path(folder) / "store")))
        planned = time.process_time()
        json.dumps(as_json(plan))
        written = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(study.cells):,} cells, {len(plan.stages):,} stages, peak {peak:.0f} MiB")
    print(f"load {loaded - started:.1f} s, plan {planned - loaded:.1f} s, JSON with sizes {written - planned:.1f} s")


if __name__ == "__main__":
    main()
