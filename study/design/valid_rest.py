"""The valid rest of an invalid grid, in which further mistakes are found that do not follow from the known ones.

What a mistake is in is taken out: the field of the baseline, the whole factor, the claim. So is what refers to it: a
claim that names a factor whose own definition is wrong cannot be judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from study.design.grid import Grid
from study.design.overrides import InvalidError, overlaps, settings
from study.design.yaml_file import GridFile, Keys, closest

LISTS = ("claims", "compare", "only", "exclude", "paired")  # their items are taken out one by one
# what the cells depend on
SHAPE = frozenset({"baseline", "factors", "design", "resolution", "sample", "paired", "only", "exclude", "search"})
SMALLEST_BASELINE = {"finetune": {"dataset": "digits"}}


def has_all_cells(source: GridFile) -> bool:
    """Whether nothing was taken out that the cells depend on."""
    return not source.changed & SHAPE


def valid_rest(source: GridFile, wrong: Iterable[Keys]) -> GridFile:
    """A grid without the items at these keys, and without what refers to them."""
    units = {keys[: _depth(keys)] for keys in wrong if keys}
    units |= {(meant,) for unit in units if len(unit) == 1 and (meant := _meant(str(unit[0]), source.data))}
    data: dict[str, Any] = source.data
    for keys in units:
        data = _without(data, keys)
    data = _completed(data)
    gone = _names_gone(source.data, data, units)
    kept = {key: [] if ("factors",) in units else _kept(source.data.get(key), key, units, gone) for key in LISTS}
    data |= {key: [source.data[key][i] for i in positions] for key, positions in kept.items() if key in data}
    data |= {"factors": {name: spec for name, spec in _mapping(data.get("factors")).items() if name not in gone}}
    return replace(
        source,
        data=data,
        changed=frozenset(str(keys[0]) for keys in units),
        factors=tuple(_mapping(source.data.get("factors"))),
        positions={key: positions for key, positions in kept.items() if key in data},
    )


def _depth(keys: Keys) -> int:
    """How many of the keys of a mistake lead to what is taken out."""
    if keys[0] == "baseline":
        return next((i for i, key in enumerate(keys) if isinstance(key, int)), len(keys))
    if keys[:2] in (("tune", "parameters"), ("search", "space")):
        return 3
    return 2 if keys[0] in ("factors", "tune", "search", *LISTS) else 1


def _without(data: Any, keys: Keys) -> Any:
    """The data without what is at these keys; items of lists are not taken out."""
    first, *rest = keys
    if not isinstance(data, dict):
        return data
    if rest and isinstance(data.get(str(first)), dict):
        inner = _without(data[str(first)], tuple(rest))
        return {**data, str(first): inner}
    if rest and isinstance(data.get(str(first)), list) and first in LISTS:
        return data
    return {name: value for name, value in data.items() if name != first}


def _meant(key: str, data: Mapping[str, Any]) -> str | None:
    """The grid key that an unknown key was meant to be, if it is not written."""
    meant = None if key in Grid.model_fields else closest(key, Grid.model_fields)
    return meant if meant not in data else None


def _completed(data: dict[str, Any]) -> dict[str, Any]:
    """With something in place of required keys, and without a space that has lost all its parameters."""
    data = {"study": "study", "question": "?", **data}
    for key, required in (("tune", "budget"), ("search", "trials")):
        data |= {key: {required: 1, **_mapping(data[key])}} if key in data else {}
    if "tune" in data and not data["tune"].get("parameters"):
        data = _without(data, ("tune",))
    if "search" in data and data["search"].get("space") == {}:
        data = _without(_without(data, ("search",)), ("design",))
    return {**data, "baseline": _baseline(data)}


def _baseline(data: Mapping[str, Any]) -> Any:
    try:
        settings(data["baseline"])
    except (InvalidError, KeyError, AttributeError):
        return SMALLEST_BASELINE
    return data["baseline"]


def _names_gone(before: Mapping[str, Any], after: Mapping[str, Any], units: Iterable[Keys]) -> set[str]:
    """The factors that are taken out, and those whose baseline level or partners are."""
    factors = _mapping(before.get("factors"))
    gone = factors.keys() - _mapping(after.get("factors")).keys()
    for section, *rest in units:
        if section == "baseline":
            path = ".".join(map(str, rest))
            replaced = after["baseline"] is SMALLEST_BASELINE
            gone |= {name for name, spec in factors.items() if replaced or _sets(spec, path)}
        elif section == "paired" and rest and isinstance(before["paired"][rest[0]], list):
            gone |= {str(name) for name in before["paired"][rest[0]]}
    return gone


def _sets(spec: Any, path: str) -> bool:
    spec = _mapping(spec)
    levels = spec.get("levels")
    sets = [_mapping(_mapping(level).get("set")) for level in (levels if isinstance(levels, list) else ())]
    return any(overlaps(str(own), path) for own in (spec.get("path", ""), *(own for one in sets for own in one)))


def _kept(items: Any, key: str, units: set[Keys], gone: set[str]) -> list[int]:
    """The positions of the items that are valid and name no factor that is gone."""
    if not isinstance(items, list) or (key,) in units:
        return []
    return [i for i, item in enumerate(items) if (key, i) not in units and not _named(item) & gone]


def _named(item: Any) -> set[str]:
    """The factors that an item names; tied ones separately."""
    if isinstance(item, list):
        return {str(name) for name in item}
    parts = (_mapping(_mapping(item).get(key)) for key in ("cells", "against", "where", "when"))
    names = {str(name) for part in parts for name in part}
    return names | {part for name in names for part in name.split(" + ")}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
