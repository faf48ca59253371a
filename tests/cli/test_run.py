"""The utilisation that a sweep reports, and addresses that it refuses."""

import pytest

from study.cli.run import utilisation
from study.design.resources import Resources
from study.design.stages import Stage
from study.execution import Cluster, connect
from study.planning.events import Outcome
from study.utils.errors import StudyError
from study.vit.settings import Encoder, Finetune
from study.vit.stages import StageSettings

OUTCOMES = tuple(
    Outcome(Stage(StageSettings(Encoder(), Finetune(dataset="digits")), seed), "done", seconds=seconds)
    for seed, seconds in enumerate([60.0, 70.0, 40.0])
)


@pytest.mark.parametrize(
    ("resources", "cluster", "text"),
    [
        (Resources(), Cluster(2, 0), "CPU utilisation 85% (2 cores)"),  # 170 s of 2 x 100 s
        (Resources(cpu=2), Cluster(8, 0), "CPU utilisation 42% (8 cores)"),  # 2 x 170 s of 8 x 100 s: 42.5
        (Resources(gpu=0.5), Cluster(8, 2), "GPU utilisation 42% (2 GPUs)"),  # 0.5 x 170 s of 2 x 100 s: 42.5
        (Resources(), Cluster(8, 4), "GPU utilisation 42% (4 GPUs)"),  # one GPU each by default
        (Resources(gpu=0), Cluster(4, 2), "CPU utilisation 42% (4 cores)"),
    ],
)
def test_utilisation_of_cores_or_gpus(resources: Resources, cluster: Cluster, text: str) -> None:
    """Three stages with a total of 170 seconds, in a sweep of 100 seconds including start-up."""
    assert utilisation(OUTCOMES, 100.0, resources, cluster) == text


def test_a_ray_client_address_is_rejected_with_alternatives() -> None:
    with pytest.raises(StudyError, match=r"--address auto.*ray job submit"):
        connect("ray://somewhere:10001")
