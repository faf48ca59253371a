"""Which device, how precise, compiled or not."""

import pytest
import torch
from helpers.training_samples import finetuning
from torch import nn

from study.utils.errors import StudyError
from study.vit.training.device import chosen, compiled, peak_memory, precise

CPU = torch.device("cpu")


def test_unknown_and_missing_devices_are_refused() -> None:
    with pytest.raises(StudyError, match="'abacus' is unknown; devices are cpu, cuda and cuda:N"):
        chosen("abacus")
    with pytest.raises(StudyError, match="'meta' is not supported; devices are cpu, cuda and cuda:N"):
        chosen("meta")
    beyond = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(StudyError, match=f"'{beyond}' is not to be had: torch sees {torch.cuda.device_count()} GPUs"):
        chosen(beyond)


@pytest.mark.parametrize(
    ("precision", "made"), [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_precision_of_a_cpu(precision: str, made: torch.dtype) -> None:
    with precise(finetuning(precision=precision), CPU):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == made


def test_a_cpu_compiles_only_when_asked() -> None:
    module = nn.Linear(2, 2)
    assert compiled(module, finetuning(compile="auto"), 10**9, CPU) is module
    assert compiled(module, finetuning(compile="off"), 10**9, CPU) is module


def test_compiling_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(StudyError, match=r"compile: on needs a C\+\+ compiler"):
        compiled(nn.Linear(2, 2), finetuning(compile="on"), 1, CPU)


def test_a_cpu_has_no_peak_of_a_stage() -> None:
    assert peak_memory(CPU) == {}
