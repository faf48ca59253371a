"""Defaults and keys are those of earlier commits: results that were stored then are found, and are what they were.

A default that changes without a new version in VERSIONS would give an old result to new settings.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from helpers.paths import ROOT
from helpers.stored_keys import Entry, mismatch, read, stage_of, versions_now, versions_of
from pydantic import create_model

from study.vit.settings import Decoder, Finetune, Pretrain
from study.vit.stages import VERSIONS, StageSettings

ENTRIES = read((ROOT / "tests" / "design" / "stored_keys.json").read_text().splitlines())


def problems() -> list[str]:
    return [problem for entry in ENTRIES if (problem := mismatch(entry))]


def test_settings_and_keys_are_as_they_were_stored() -> None:
    assert problems() == []


def test_every_kind_of_stage_has_stages_of_its_present_version() -> None:
    """After a new version: draw stages of it, and add their lines to the file."""
    kinds = {entry["stage"] for entry in ENTRIES if versions_of(entry) == versions_now(entry)}
    assert kinds == set(VERSIONS)
    assert any(entry["parent"] for entry in ENTRIES)


@contextmanager
def other_default(monkeypatch: pytest.MonkeyPatch, kind: str, **fields: object) -> Iterator[None]:
    """As if a default in settings.py were edited."""
    base = StageSettings.RECIPES[kind]
    model = create_model(base.__name__, __base__=base, **{name: (type(value), value) for name, value in fields.items()})
    with monkeypatch.context() as patch:
        patch.setitem(StageSettings.RECIPES, kind, model)
        yield


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("finetune", "weight_decay", 0.07),
        ("finetune", "label_smoothing", 0.1),
        ("pretrain", "mask_ratio", 0.5),
        ("pretrain", "decoder", Decoder(depth=3)),
    ],
)
def test_a_changed_default_is_found(monkeypatch: pytest.MonkeyPatch, kind: str, field: str, value: object) -> None:
    with other_default(monkeypatch, kind, **{field: value}):
        assert any(field in problem and "was" in problem for problem in problems())
        monkeypatch.setitem(VERSIONS, kind, VERSIONS[kind] + 1)  # then old results are not used
        assert problems() == []


def test_a_stage_of_another_key_is_found() -> None:
    entry: Entry = next(entry for entry in ENTRIES if entry["parent"])
    assert mismatch(entry | {"seed": entry["seed"] + 1}) is not None
    assert stage_of(entry).parent is not None
    assert isinstance(stage_of(entry).settings.recipe, Finetune | Pretrain)
