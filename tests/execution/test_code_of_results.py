"""What a result records of the code that computed it."""

import json
from pathlib import Path

import pytest

from study.design.stages import stages_of
from study.design.study import expand, load
from study.execution.run_stage import run_stage
from study.execution.worker import Driver
from study.store import code
from study.store.code import Code, present_code
from study.store.results import Store
from study.utils.version import __version__


def test_a_result_has_the_digests_of_its_code_and_of_the_code_of_its_parent(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pre-training was computed by other code."""
    pretrain, finetune = stages_of(expand(load(tiny))[0])
    store, now = Store(tmp_path / "store"), present_code()
    before = Code({**now.files, "study/vit/models/mae.py": "0" * 64})
    with monkeypatch.context() as patch:
        patch.setattr(code, "present_code", lambda: before)
        run_stage(pretrain, store, "cpu", lambda row: None)
    run_stage(finetune, store, "cpu", lambda row: None)
    first, second = (store.find(stage) for stage in (pretrain, finetune))
    assert first is not None
    assert second is not None
    assert first.provenance["code"] == before.digest
    assert "parent_code" not in first.provenance
    assert (second.provenance["code"], second.provenance["parent_code"]) == (now.digest, before.digest)
    assert {result.provenance["study"] for result in (first, second)} == {__version__}
    assert code.read(store, now.digest) == now
    assert json.loads((store.root / "code" / f"{before.digest}.json").read_text()) == before.files


@pytest.mark.parametrize(("same", "recorded"), [(True, "abc"), (False, "unknown")])
def test_the_driver_s_commit_is_not_that_of_a_worker_with_other_code(same: bool, recorded: str) -> None:
    assert Driver("abc", present_code().digest if same else "0" * 64).own_commit == recorded
