"""Stages as earlier commits stored them: `tests/design/stored_keys.json`, one per line.

    PYTHONPATH=tests:. python -m helpers.stored_keys draw > tests/design/stored_keys.json
    PYTHONPATH=tests:. python -m helpers.stored_keys check < tests/design/stored_keys.json

`draw` writes stages with settings drawn at random. `check` compares the stages of a file with the code that runs it: in
a worktree of an earlier commit, with this file copied there, it shows that the commit had the same defaults and keys.
The file was checked so at 94b6569 (all 48 stages) and at d819786 (29 stages; 19 have settings that were added later).
"""

import json
import random
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from study.design.stages import Stage
from study.vit.settings import Encoder, Finetune, Pretrain
from study.vit.stages import VERSIONS, StageSettings

Entry = dict[str, Any]
COUNT = 48
SHARE = 0.3  # of the settings of a stage that differ from their defaults
EXPERTS = [[1], [3], [2, 3], [4, 4, 8]]


def mismatch(entry: Entry) -> str | None:
    """How a stage made from what was written differs from what was stored. None for a stage of another version."""
    if versions_of(entry) != versions_now(entry):
        return None
    stage = stage_of(entry)
    stored, present = (dict(_fields(settings)) for settings in (entry["settings"], stage.settings.dump()))
    for name in stored.keys() & present.keys():  # not those that one of the two commits lacks
        if stored[name] != present[name]:
            return f"{name} was {stored[name]!r}, now {present[name]!r}"
    return None if stage.key == entry["key"] else f"the key was {entry['key']}, now {stage.key}"


def stage_of(entry: Entry) -> Stage:
    """The stage with these written settings, at the present defaults."""
    parent = stage_of(entry["parent"]) if entry["parent"] else None
    recipe = StageSettings.RECIPES[entry["stage"]].model_validate(entry["recipe"])
    return Stage(StageSettings(Encoder.model_validate(entry["encoder"]), recipe), entry["seed"], parent)


def versions_of(entry: Entry) -> list[int]:
    """The versions of a stored stage and its parents."""
    return [entry["version"], *(versions_of(entry["parent"]) if entry["parent"] else [])]


def versions_now(entry: Entry) -> list[int]:
    """The present versions of these kinds of stages."""
    return [VERSIONS[entry["stage"]], *(versions_now(entry["parent"]) if entry["parent"] else [])]


def draw(count: int, seed: int) -> Iterator[Entry]:
    """Stages of both kinds with drawn settings, half of the fine-tunings with a parent."""
    rng = random.Random(seed)
    for number in range(count):
        encoder = _drawn(Encoder, rng, {})
        parent = None
        if number % 4 == 1:
            parent = _entry("pretrain", encoder, _drawn(Pretrain, rng, {"dataset": "photos"}), number, None)
        kind, recipe = ("pretrain", Pretrain) if number % 4 == 0 else ("finetune", Finetune)
        yield _entry(kind, encoder, _drawn(recipe, rng, {"dataset": "digits"}), number, parent)


def _entry(kind: str, encoder: Entry, recipe: Entry, seed: int, parent: Entry | None) -> Entry:
    entry: Entry = {"stage": kind, "version": 0, "encoder": encoder, "recipe": recipe, "seed": seed, "parent": parent}
    stage = stage_of(entry)
    return entry | {"version": stage.settings.version, "settings": stage.settings.dump(), "key": stage.key}


def _drawn(model: type[BaseModel], rng: random.Random, required: Entry) -> Entry:
    """Written settings: each differs from its default with probability SHARE, as far as the model is valid then."""
    written = dict(required)
    for name, field in model.model_fields.items():
        if name in required or rng.random() > SHARE:
            continue
        value = _other(field.annotation, field.default, rng)
        try:
            model.model_validate(written | {name: value})
        except ValidationError:
            continue
        written[name] = value
    return written


def _other(annotation: Any, default: Any, rng: random.Random) -> Any:
    if isinstance(default, BaseModel):
        return _drawn(type(default), rng, {})
    literal = next((part for part in (annotation, *get_args(annotation)) if get_origin(part) is Literal), None)
    if literal is not None:
        return rng.choice(get_args(literal))
    if isinstance(default, bool):
        return not default
    if isinstance(default, tuple):
        return rng.choice(EXPERTS)
    if default is None:
        return rng.randint(1, 500)
    return rng.choice([default * 2, default * 3, default // 2]) if isinstance(default, int) else round(rng.random(), 3)


def _fields(settings: Entry, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted path."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def read(lines: Iterable[str]) -> list[Entry]:
    """The stages of a file."""
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    if sys.argv[1] == "draw":
        for entry in draw(COUNT, seed=11):
            print(json.dumps(entry))
    else:
        found, lacking = list[str](), 0
        for entry in read(sys.stdin):
            try:
                found += filter(None, [mismatch(entry)])
            except ValidationError:  # a setting that an earlier commit lacks
                lacking += 1
        print(*found, f"{len(found)} stages differ; {lacking} have settings that this commit lacks", sep="\n")
        sys.exit(bool(found))
