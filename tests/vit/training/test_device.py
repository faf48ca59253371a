"""Device, precision, compilation."""

import pytest
import torch
from helpers.training_samples import finetuning
from torch import nn

from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit.training.device import chosen, compiled, peak_memory, precise

CPU = torch.device("cpu")


def test_unknown_and_missing_devices() -> None:
    with pytest.raises(StudyError, match="unknown device 'abacus': must be cpu, cuda or cuda:N"):
        chosen("abacus")
    with pytest.raises(StudyError, match="unsupported device 'meta': must be cpu, cuda or cuda:N"):
        chosen("meta")
    available = torch.cuda.device_count()
    beyond = f"cuda:{available}"
    with pytest.raises(StudyError, match=f"'{beyond}' not found: torch detects {plural(available, 'GPU')};"):
        chosen(beyond)


@pytest.mark.parametrize(
    ("precision", "made"), [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_precision_of_a_cpu(precision: str, made: torch.dtype) -> None:
    with precise(finetuning(precision=precision), CPU):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == made


def test_a_cpu_compiles_only_if_compile_is_on() -> None:
    module = nn.Linear(2, 2)
    assert compiled(module, finetuning(compile="auto"), 10**9, CPU) is module
    assert compiled(module, finetuning(compile="off"), 10**9, CPU) is module


def test_compile_on_requires_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(StudyError, match=r"compile: on requires a C\+\+ compiler"):
        compiled(nn.Linear(2, 2), finetuning(compile="on"), 1, CPU)


def test_a_cpu_reports_no_peak_memory() -> None:
    assert peak_memory(CPU) == {}
