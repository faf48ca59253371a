"""The JSON Schema of grids: up to date, valid, and consistent with the models that read grids."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from helpers.paths import EXAMPLE_GRIDS, GRIDS

from study.cli.app import app
from study.design import json_schema, overrides
from study.design.yaml_file import read

FILE = GRIDS / "grid.schema.json"
GOOD: dict[str, Any] = {
    "study": "x",
    "question": "What?",
    "baseline": {"encoder": {"preset": "XS"}, "finetune": {"dataset": "digits"}},
    "factors": {"heads": {"path": "encoder.num_kv_heads", "levels": [1, {"label": "all", "value": 8}]}},
}


@pytest.fixture(scope="module")
def check() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))


def test_the_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """To update it: python -m study schema > grids/grid.schema.json"""
    app(["schema"], standalone_mode=False)
    assert capsys.readouterr().out == FILE.read_text(encoding="utf-8")


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema.grid_schema())


@pytest.mark.parametrize("path", EXAMPLE_GRIDS, ids=lambda path: path.stem)
def test_every_example_grid_references_the_schema_and_is_valid(
    path: Path, check: jsonschema.Draft202012Validator
) -> None:
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=grid.schema.json\n")
    check.validate(read(path).data)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"design": ["leave_one_out", "add_one"]},
        {"design": "fractional", "resolution": 4},
        {"design": "factorial", "sample": 5},
        {"design": "factorial", "sample": {"cells": 5, "method": "random"}, "paired": [["a", "b"]]},
        {"only": [{"when": {"heads": 1}, "reason": "r"}], "exclude": [{"when": {"encoder.bias": True}, "reason": "r"}]},
        {"factors": {"f": {"levels": [{"label": "a", "set": {"encoder.preset": "S", "pretrain": None}}]}}},
    ],
)  # fmt: skip
def test_valid_grids_are_accepted(keys: dict[str, Any], check: jsonschema.Draft202012Validator) -> None:
    check.validate({**GOOD, **keys})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"studdy": "x"}, "'studdy' was unexpected"),
        ({"design": "full"}, "'full' is not one of"),
        ({"design": ["add_one", "leave_one_out"]}, "is not one of"),
        ({"resolution": 6}, "6 is not valid"),
        ({"baseline": {"encoder": {"widht": 12}, "finetune": {"dataset": "digits"}}}, "'widht' was unexpected"),
        ({"baseline": {"encoder": {"preset": "M"}, "finetune": {"dataset": "digits"}}}, "'M' is not one of"),
        ({"baseline": {"finetune": {"epochs": 3}}}, "'dataset' is a required property"),
        ({"factors": {"f": {"path": "encoder.kv", "levels": [1]}}}, "'encoder.kv' is not one of"),
        ({"factors": {"f": {"levels": [{"set": {"encoder.kv": 1}}]}}}, "is not valid under any"),
        ({"factors": {"f": {"path": "encoder.width", "levels": []}}}, "should be non-empty|is too short"),
        ({"replicates": 0}, "0 is not valid|less than the minimum"),
    ],
)
def test_invalid_grids_are_rejected(keys: dict[str, Any], message: str, check: jsonschema.Draft202012Validator) -> None:
    with pytest.raises(jsonschema.ValidationError, match=message):
        check.validate({**GOOD, **keys})


def test_every_field_has_its_path() -> None:
    """Those of the quickstart grid, and all sections."""
    written = yaml.safe_load((GRIDS / "quickstart.yaml").read_text(encoding="utf-8"))["baseline"]
    found = set(overrides.paths())
    assert {"encoder", "pretrain", "finetune", "encoder.preset", "pretrain.decoder.width"} <= found
    assert {f"{section}.{key}" for section, keys in written.items() for key in keys} <= found


def test_every_key_has_a_description() -> None:
    """In the grid and in all nested models."""
    found = json_schema.grid_schema()
    models = {"Grid": found, **found["$defs"]}
    undescribed = [
        f"{name}.{key}"
        for name, model in models.items()
        for key, field in model.get("properties", {}).items()
        if not field.get("description")
    ]
    assert undescribed == []


def test_unsupported_keys_are_not_listed() -> None:
    found = json_schema.grid_schema()
    listed = {name for name, model in found["$defs"].items() if "early_stopping" in model.get("properties", {})}
    assert listed == {"SearchSpec"}
    assert "early_stopping" not in found["properties"]
