"""The ledger of deliveries: append-only, and readable after a crash at any byte."""

from pathlib import Path

import pytest

from study.design.stages import Stage
from study.store.results import Store
from study.tracking.ledger import Ledger, server_of
from study.vit.settings import Encoder, Finetune
from study.vit.stages import StageSettings

ONE, TWO, THREE = (Stage(StageSettings(Encoder(), Finetune(dataset="digits")), seed) for seed in (1, 2, 3))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store(tmp_path), "study")


def test_deliveries_are_kept_apart_by_server(ledger: Ledger) -> None:
    assert ledger.runs("here") == {}
    ledger.add("here", ONE, "run-1", "")
    ledger.add("there", ONE, "run-2", "")
    ledger.add("here", TWO, "run-3", "")
    assert ledger.runs("here") == {ONE.key: "run-1", TWO.key: "run-3"}
    assert ledger.runs("there") == {ONE.key: "run-2"}
    assert ledger.runs("nowhere") == {}


def test_the_latest_delivery_of_a_stage_counts(ledger: Ledger) -> None:
    ledger.add("here", ONE, "run-1", "")
    ledger.add("here", ONE, "run-2", "")
    assert ledger.runs("here") == {ONE.key: "run-2"}


def test_a_kill_at_any_byte_loses_one_entry_and_damages_no_later_one(ledger: Ledger) -> None:
    ledger.add("here", ONE, "run-1", "")
    first = ledger.path.read_bytes()
    ledger.add("here", TWO, "run-2", "")
    whole = ledger.path.read_bytes()
    for length in range(len(first), len(whole) + 1):
        ledger.path.write_bytes(whole[:length])
        ledger.add("here", THREE, "run-3", "")
        runs = ledger.runs("here")
        assert (runs[ONE.key], runs[THREE.key]) == ("run-1", "run-3")
        assert runs.get(TWO.key) == ("run-2" if length >= len(whole) - 1 else None)


@pytest.mark.parametrize("line", ["", "null", "[]", "5", '"text"', "{}", '{"server": "here"}', "\x00\x00", "{"])
def test_invalid_lines_are_ignored(ledger: Ledger, line: str) -> None:
    ledger.add("here", ONE, "run-1", "")
    with ledger.path.open("a") as file:
        file.write(f"{line}\n")
    ledger.add("here", TWO, "run-2", "")
    assert ledger.runs("here") == {ONE.key: "run-1", TWO.key: "run-2"}


def check_endings(ledger: Ledger, uri: str) -> None:
    ledger.add_ending(uri, f"{ONE.key}.first", "run-1")
    ledger.add_ending(uri, f"{ONE.key}.second", "run-2")
    ledger.add_ending("http://elsewhere", f"{TWO.key}.stopped", "run-3")
    ledger.add(uri, ONE, "run-4", "")
    assert ledger.endings(uri) == {f"{ONE.key}.first", f"{ONE.key}.second"}
    assert ledger.runs(uri) == {ONE.key: "run-4"}
    assert ledger.endings("http://elsewhere") == {f"{TWO.key}.stopped"}
    assert ledger.endings("http://nowhere") == frozenset()


def test_failures_and_stops_are_separate_from_results(ledger: Ledger) -> None:
    check_endings(ledger, "http://here")


def test_failures_and_stops_in_object_storage(bucket: str) -> None:
    ledger = Ledger(Store(f"{bucket}/store"), "study")
    check_endings(ledger, "http://here")
    assert not ledger.path.exists()


def test_bytes_that_are_not_utf_8_are_ignored(ledger: Ledger) -> None:
    ledger.add("here", ONE, "run-1", "")
    ledger.path.write_bytes(b"\xff\xfe\n" + ledger.path.read_bytes())
    assert ledger.runs("here") == {ONE.key: "run-1"}


def test_the_name_of_a_server_does_not_reveal_its_password() -> None:
    name = server_of("https://me:secret@example.org/mlflow")
    assert "secret" not in name
    assert name == server_of("https://me:secret@example.org/mlflow") != server_of("https://example.org/mlflow")
