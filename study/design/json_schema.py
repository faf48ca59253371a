"""The JSON Schema of a grid file, for completion and validation in editors; derived from the models that read it."""

import json
from typing import Any

from study.design.grid import Grid, LevelSpec
from study.design.kinds import DESIGNS
from study.design.level_ranges import RANGES
from study.design.overrides import SECTIONS, paths
from study.utils.frozen_model import Frozen
from study.vit.subject import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCE = "#/$defs/{model}"


def grid_schema() -> dict[str, Any]:
    """The schema as plain data. Further conditions (divisibility, data set names) are checked by `study plan`."""
    schema = Grid.model_json_schema(ref_template=REFERENCE)
    known = schema["$defs"]
    for model in (Settings, LevelSpec):
        own = model.model_json_schema(ref_template=REFERENCE)
        known |= own.pop("$defs", {}) | {model.__name__: own}
    baseline = schema["properties"]["baseline"]
    schema["properties"]["baseline"] = {"$ref": "#/$defs/Settings", "description": baseline["description"]}
    for section in SECTIONS.values():
        if issubclass(section, Frozen) and section.presets:
            preset = {"enum": [*section.presets], "description": "a size; explicit fields override it"}
            known[section.__name__]["properties"]["preset"] = preset
    schema["properties"]["design"] = {
        "enum": [[*written] if isinstance(written, tuple) else written for written in DESIGNS],
        "default": schema["properties"]["design"]["default"],
        "description": "; ".join(f"{design.in_grid}: {design.summary}" for design in DESIGNS.values()),
    }
    known["FactorSpec"]["properties"]["path"] |= {"$ref": "#/$defs/Path"}
    known["FactorSpec"]["properties"]["path"].pop("anyOf")
    known["FactorSpec"]["properties"]["levels"]["items"] = {
        "anyOf": [{"$ref": "#/$defs/LevelSpec"}, *map(_range_form, RANGES), {"not": {"type": "object"}}]
    }
    known["LevelSpec"]["properties"]["set"]["propertyNames"] = {"$ref": "#/$defs/Path"}
    known["Path"] = {"enum": [*paths()], "description": "a field of a trial's settings, by dotted path"}
    return {"$schema": DIALECT, **schema}


def _range_form(name: str) -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3, "description": RANGES[name]}
    return {"type": "object", "properties": {name: numbers}, "required": [name], "additionalProperties": False}


def text() -> str:
    """The content of the schema file."""
    return json.dumps(grid_schema(), indent=1, ensure_ascii=False) + "\n"
