"""`list`, `status`, `show` and `failures`: what a store has, without writing to it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from study.design.stages import stages_of
from study.design.study import Study, expand, load
from study.planning import last_run, study_identity
from study.store.leases import Leases
from study.store.results import Store
from study.tracking.ledger import Ledger

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def known(finished: Path) -> Study:
    """The tiny study with one replicate, run with `.study`, and without its grid file."""
    study = load(finished)
    store = Store(".study")
    study_identity.record(study, store)
    last_run.end(study, store, last_run.begin(study, store, "0123456789abcdef"), 0)
    return study


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_list_counts_the_trials_of_each_study(known: Study, finished: Path, place: Path, command: Command) -> None:
    finished.unlink()
    (place / "reports" / "tiny").mkdir(parents=True)
    (place / "reports" / "tiny" / "report.html").touch()
    before = files(place)
    (one,) = json.loads(command("list", "--json")[1])
    assert (one["name"], one["question"], one["report"]) == ("tiny", known.grid.question, "reports/tiny/report.html")
    assert one["counts"] == {"done": 4, "failed": 0, "missing": 0}
    assert one["run"]["exit_code"] == 0
    code, shown, _ = command("list")
    assert code == 0
    assert "4 of 4 done" in shown
    assert one["run"]["ended"][:16].replace("T", " ") in shown
    assert files(place) == before


def test_list_names_what_it_cannot_count(known: Study, place: Path, command: Command) -> None:
    Store(".study").write("studies/broken.yaml", b"study: broken\n")
    code, shown, _ = command("list")
    assert code == 0
    assert "4 of 4 done" in shown
    assert "\nbroken: " in shown
    assert "broken.yaml:1: baseline" in shown


def test_status_has_a_row_per_cell_and_what_is_running(known: Study, place: Path, command: Command) -> None:
    store = Store(".study")
    first, second, *_ = expand(known)
    store.discard(stages_of(first)[-1])
    store.discard(stages_of(second)[-1])
    store.record_failure(stages_of(first)[-1], "out of memory")
    with Leases(store) as leases:
        assert leases.take(stages_of(second)[-1])
        before = files(place)
        found = json.loads(command("status", "tiny.yaml", "--json")[1])
        code, shown, _ = command("status", "tiny.yaml")
        assert files(place) == before
    assert code == 0
    assert found["trials"] == {"done": 2, "failed": 1, "missing": 1}
    counts = {cell["cell"]: (cell["done"], cell["failed"], cell["missing"], cell["running"]) for cell in found["cells"]}
    assert counts[first.cell.name] == (0, 1, 0, 0)
    assert counts[second.cell.name] == (0, 0, 1, 1)
    assert [one["key"] for one in found["running"]] == [stages_of(second)[-1].key]
    assert "tiny: 2 of 4 done, 1 failed, 1 missing" in shown
    assert "python -m study failures tiny.yaml" in shown
    assert json.loads(command("status", "tiny.yaml", "--json")[1])["running"] == []


def test_show_a_stage_by_the_start_of_its_key_or_by_its_run(known: Study, place: Path, command: Command) -> None:
    store = Store(".study")
    pretraining, finetuning = next(stages for trial in expand(known) if len(stages := stages_of(trial)) == 2)
    server = "http://127.0.0.1:9"  # nothing answers there: the ledger knows the run
    Ledger(store, "tiny").add(server, finetuning, "f" * 32, "0" * 64)
    before = files(place)
    found = json.loads(command("show", finetuning.key[:10], "--json")[1])
    assert found["key"] == finetuning.key
    assert found["parent"] == pretraining.key
    assert found["result"]["metrics"] == store.find(finetuning).metrics  # type: ignore[union-attr]
    assert {"study": "tiny", "cell": found["used_by"][0]["cell"], "trial": "r1"} in found["used_by"]
    assert "model.safetensors" in found["files"]
    assert json.loads(command("show", "f" * 32, "--json", "--tracking-uri", server)[1]) == found
    assert finetuning.key in json.loads(command("show", pretraining.key, "--json")[1])["children"]
    code, shown, _ = command("show", finetuning.key[:10])
    assert code == 0
    assert f"starts from: pretrain {pretraining.key}" in shown
    assert f"study.load('{finetuning.key[:12]}')" in shown
    assert re.search(r"val_accuracy +[▁▂▃▄▅▆▇█]+", shown)
    assert files(place) == before


def test_show_a_failed_stage_with_its_whole_error(known: Study, command: Command) -> None:
    store, stage = Store(".study"), stages_of(expand(known)[0])[-1]
    store.discard(stage)
    store.record_failure(
        stage, "ValueError: no\n  in a traceback", {"host": "node-1", "finished": "2026-01-02T03:04:05"}
    )
    for arguments in (("show", stage.key), ("failures",), ("failures", "tiny.yaml")):
        code, shown, _ = command(*arguments)
        assert code == 0
        assert "2026-01-02 03:04 UTC on node-1" in shown
        assert "ValueError: no" in shown
        assert "in a traceback" in shown
    (one,) = json.loads(command("failures", "--json")[1])
    assert (one["study"], one["key"], one["provenance"]["host"]) == ("tiny", stage.key, "node-1")


def test_show_a_damaged_stage_with_the_reason(known: Study, place: Path, command: Command) -> None:
    stage = stages_of(expand(known)[0])[-1]
    (place / ".study" / "finetune" / stage.key / "result.json").write_text("{}")
    code, shown, _ = command("show", stage.key)
    assert code == 0
    assert "problem: " in shown
    assert "checksum mismatch in result.json" in shown


def test_show_a_cell(known: Study, command: Command) -> None:
    trial = expand(known)[0]
    found = json.loads(command("show", f"tiny/{trial.cell.name}", "--json")[1])
    assert found["levels"] == dict(trial.cell.labels)
    assert found["trials"][0]["keys"] == [stage.key for stage in stages_of(trial)]
    assert found["trials"][0]["status"] == "done"
    assert command("show", trial.cell.name)[1].startswith(f"tiny/{trial.cell.name}\n")


def test_a_cell_of_several_studies_is_asked_for(known: Study, finished: Path, place: Path, command: Command) -> None:
    other = place / "other.yaml"
    other.write_text(finished.read_text().replace("study: tiny", "study: other"))
    study_identity.record(load(other), Store(".study"))
    code, _, error = command("show", "baseline")
    assert code == 2
    assert "give one of other/baseline, tiny/baseline" in error


@pytest.mark.parametrize("target", ["nothing", "0123456789abcdef", "tiny/nothing", "", "../tiny", "\x1b[31m"])
def test_an_unknown_name_is_an_error(known: Study, place: Path, command: Command, target: str) -> None:
    before = files(place)
    code, output, error = command("show", target)
    assert (code, output) == (2, "")
    assert "is neither the key of a stage, nor a run, nor a cell" in error
    assert "\x1b[31m" not in error
    assert files(place) == before


@pytest.mark.parametrize("arguments", [("list",), ("status", "tiny.yaml"), ("show", "baseline"), ("failures",)])
def test_without_a_store_nothing_is_created(tiny: Path, place: Path, command: Command, arguments: tuple[str]) -> None:
    code, output, error = command(*arguments)
    assert (code, output) == (2, "")
    assert "no store at .study" in error
    assert sorted(place.iterdir()) == [tiny]


def test_a_run_records_when_it_began_and_ended(store_run: Path) -> None:
    found = last_run.last_run("tiny", Store(store_run))
    assert found is not None
    assert (found.commit, found.exit_code) == ("0123", 0)
    assert found.began <= found.ended


@pytest.fixture
def store_run(tiny: Path, tmp_path: Path) -> Path:
    study, store = load(tiny), Store(tmp_path / "store")
    begun = last_run.begin(study, store, "0123")
    assert last_run.last_run("tiny", store) == begun
    last_run.end(study, store, begun, 0)
    return store.root


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'"x"', b"{}", b"[" * 100_000])
def test_a_damaged_record_of_a_run_is_none(tmp_path: Path, record: bytes) -> None:
    store = Store(tmp_path / "store")
    store.write("runs/tiny.json", record)
    assert last_run.last_run("tiny", store) is None
