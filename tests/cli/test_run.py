"""What a sweep says of itself."""

import pytest

from study.cli.run import busy
from study.design.resources import Resources
from study.design.stages import Stage
from study.execution import Cluster, connect
from study.planning.events import Outcome
from study.utils.errors import StudyError
from study.vit.settings import Encoder, Finetune
from study.vit.stages import StageSettings

OUTCOMES = [
    Outcome(Stage(StageSettings(Encoder(), Finetune(dataset="digits")), seed), "done", seconds=seconds)
    for seed, seconds in enumerate([60.0, 70.0, 40.0])
]


@pytest.mark.parametrize(
    ("resources", "cluster", "words"),
    [
        (Resources(), Cluster(2, 0), "stages kept 85% of 2 cores busy"),  # 170 s of 2 x 100 s
        (Resources(cpu=2), Cluster(8, 0), "stages kept 42% of 8 cores busy"),  # 2 x 170 s of 8 x 100 s: 42.5
        (Resources(gpu=0.5), Cluster(8, 2), "stages kept 42% of 2 GPUs busy"),  # 0.5 x 170 s of 2 x 100 s: 42.5
        (Resources(), Cluster(8, 4), "stages kept 42% of 4 GPUs busy"),  # a whole GPU each, as nothing else is asked
        (Resources(gpu=0), Cluster(4, 2), "stages kept 42% of 4 cores busy"),
    ],
)
def test_how_busy_cores_or_gpus_were(resources: Resources, cluster: Cluster, words: str) -> None:
    """Three stages of 170 seconds together, in a sweep of 100 seconds, start-up included."""
    assert busy(OUTCOMES, 100.0, resources, cluster) == words


def test_ray_client_is_answered_with_what_serves_instead() -> None:
    with pytest.raises(StudyError, match=r"--address auto.*ray job submit"):
        connect("ray://somewhere:10001")
