"""What provenance says of the machine."""

import platform

import pytest
import torch

from study.execution.machine import blas, machine


def test_the_machine_of_a_stage_on_a_cpu() -> None:
    found = machine("cpu")
    assert found["host"] == platform.node()
    assert found["threads"] == torch.get_num_threads()
    assert found["gpu"] == ""
    assert found["device"]
    assert f"CPU capability usage: {found['instruction_set']}" in torch.__config__.show()
    assert f"BLAS_INFO={found['blas']}," in torch.__config__.show()


@pytest.mark.parametrize(
    ("build", "name"),
    [("LAPACK, BLAS_INFO=open, BUILD_TYPE=Release", "open"), ("BLAS_INFO=mkl", "mkl"), ("built without", "")],
)
def test_the_blas_of_a_build(build: str, name: str) -> None:
    assert blas(build) == name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_of_a_stage() -> None:
    found = machine("cuda")
    assert found["device"] == torch.cuda.get_device_name()
    assert f"GPU-{torch.cuda.get_device_properties(0).uuid}" in found["gpu"]
