"""`gc`: what no known study uses, its size, and its removal."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from study.design.stages import Stage, stages_of
from study.design.study import Study, expand, load
from study.planning import study_identity
from study.store.heartbeats import Heartbeat
from study.store.results import Store
from study.utils.text import plural

Command = Callable[..., tuple[int, str, str]]
FEWER = ("levels: [1, 2]", "levels: [1]")  # the baseline's only: the factor is gone
OTHER = "0123456789abcdef" * 4


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def smaller(finished: Path) -> Study:
    """The tiny study is stored; a study of this name without one of its factors was run last."""
    text = finished.read_text()
    study_identity.record(load(finished), Store(".study"))
    Path("smaller.yaml").write_text(text.replace("  mode: {path: finetune.mode, levels: [finetune, probe]}\n", ""))
    study = load(Path("smaller.yaml"))
    study_identity.record(study, Store(".study"))
    return study


def unused_stages(whole: Path, smaller: Study) -> set[Stage]:
    used = {stage.key for trial in expand(smaller) for stage in stages_of(trial)}
    return {stage for trial in expand(load(whole)) for stage in stages_of(trial) if stage.key not in used}


def test_everything_of_a_recorded_study_is_used(finished: Path, place: Path, command: Command) -> None:
    store = Store(".study")
    study_identity.record(load(finished), store)
    finished.unlink()
    before = files(place)
    assert json.loads(command("gc", "--json")[1]) == {"unused": [], "bytes": 0, "removed": False}
    code, shown, _ = command("gc", "--yes")
    assert (code, shown) == (0, "nothing in .study is unused\n")
    assert files(place) == before


def test_what_a_study_lost_is_listed_with_its_size_and_removed_on_request(
    finished: Path, smaller: Study, place: Path, command: Command
) -> None:
    store, stages = Store(".study"), unused_stages(finished, smaller)
    used = stages_of(expand(smaller)[0])[-1]
    for key in (OTHER, used.key):
        store.write(f"failed/{key}.json", b"{}")
        store.write(f"unfinished/{key}", b"0123456789")
        store.write(f"device/{key}.json", b"{}")
    store.write(f"tuning/{OTHER}.json", b"{}")
    store.write("failed/notes of mine.json", b"{}")
    before = files(place)
    found = json.loads(command("gc", "--json")[1])
    size = sum(len(data) for path, data in before.items() if any(stage.key in str(path) for stage in stages))
    expected = {("finetune", stage.key) for stage in stages} | {
        (kind, OTHER) for kind in ("failure note", "checkpoint", "measurement", "tuning")
    }
    assert {(one["kind"], one["key"]) for one in found["unused"]} == expected
    assert found["bytes"] == size + 2 + 10 + 2 + 2
    code, shown, _ = command("gc")
    assert code == 0
    assert f"{plural(len(stages), 'stage')} and 4 other files, " in shown
    assert "nothing was removed: add --yes" in shown
    assert files(place) == before
    assert command("gc", "--yes")[0] == 0
    kept = {path: data for path, data in before.items() if not any(key in str(path) for _, key in expected)}
    assert files(place) == kept
    assert f"failed/{used.key}.json" in str(kept)


def test_given_grids_are_used_too(finished: Path, smaller: Study, command: Command) -> None:
    assert json.loads(command("gc", "--json")[1])["unused"]
    assert json.loads(command("gc", "tiny.yaml", "--json")[1])["unused"] == []


@pytest.mark.parametrize("name", ["studies/broken.yaml", "runs/broken.json", "tracking/broken.jsonl"])
def test_a_study_whose_grid_cannot_be_used_is_an_error(
    finished: Path, smaller: Study, place: Path, command: Command, name: str
) -> None:
    Store(".study").write(name, b"study: broken\n")
    before = files(place)
    code, output, error = command("gc", "--yes")
    assert (code, output) == (2, "")
    assert "what the study 'broken' uses is unknown: " in error
    assert "study rm broken" in error
    assert files(place) == before
    given = place / "broken.yaml"
    given.write_text(finished.read_text().replace("study: tiny", "study: broken"))
    assert command("gc", "broken.yaml")[0] == 0


def test_a_store_without_a_known_study_is_not_emptied(finished: Path, place: Path, command: Command) -> None:
    before = files(place)
    code, _, error = command("gc", "--yes")
    assert code == 2
    assert "has no record of a study" in error
    assert files(place) == before


def test_nothing_is_removed_while_a_driver_runs(finished: Path, smaller: Study, place: Path, command: Command) -> None:
    with Heartbeat(Store(".study")):
        before = files(place / ".study" / "finetune")
        assert command("gc")[0] == 0
        code, output, error = command("gc", "--yes")
        assert (code, output) == (2, "")
        assert "a study is run with .study by process" in error
        assert files(place / ".study" / "finetune") == before
    assert command("gc", "--yes")[0] == 0
    assert files(place / ".study" / "finetune") != before


def test_the_original_of_a_replication_is_used(finished: Path, place: Path, command: Command) -> None:
    """The report of a replication has the verdicts of its original, which another store may have run."""
    claim = "claims:\n  - {claim: more heads, kind: greater, cells: {kv heads: 2}, against: {kv heads: 1}}\n"
    finished.write_text(finished.read_text().replace("replicates: 1", "replicates: 2") + claim)
    study_identity.record(load(finished), Store(".study"))
    code, _, error = command("replicate", "tiny.yaml", "--replicates", "2")
    assert code == 0, error
    store = Store(".study")
    study_identity.record(load(place / "tiny-replication.yaml"), store)
    for file in store.list_files("studies"):
        if file.startswith("tiny."):
            store.remove(f"studies/{file}")
    assert json.loads(command("gc", "--json")[1])["unused"] == []
