"""Mutated grids: every file gives a plan or one error message, and nothing is written.

100 grids per test by default; thousands with `nox -s tests -- tests/design/test_fuzz.py --hypothesis-profile=thorough`.
"""

import copy
import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml
from helpers.looks import make_plan
from helpers.paths import GRIDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from study.cli.plan import as_json, show
from study.design.claims import Adaptive, ClaimSpec
from study.design.study import load
from study.store.results import Store
from study.utils.errors import StudyError

QUICKSTART = (GRIDS / "quickstart.yaml").read_text(encoding="utf-8")
RICH = """\
study: rich
question: Do all keys of a grid work together?
baseline:
  encoder: {preset: XS, image_size: 8, patch_size: 2, channels: 1, depth: 6, experts_by_depth: [2, 3]}
  pretrain: {dataset: photos, epochs: 1, mask_ratio: 0.5, decoder: {width: 16, num_heads: 2, num_kv_heads: 1}}
  finetune: {dataset: digits, epochs: 2, learning_rate: 1e-3, augment: {flip: true, shift: 0.1}}
factors:
  heads: {path: encoder.num_kv_heads, levels: [1, 4, {label: all, value: 8}]}
  mode: {path: finetune.mode, levels: [finetune, probe]}
  pre-training: {path: pretrain, levels: [null], baseline: photos}
  size:
    levels:
      - {label: small, set: {encoder.preset: XXS, encoder.depth: 3}}
design: factorial
exclude:
  - {when: {pre-training: none, mode: probe}, reason: nothing to probe}
  - {when: {size: small, encoder.num_kv_heads: [4, 8]}, reason: 6 heads are not divisible}
claims:
  - {claim: all is better, kind: greater, cells: {heads: all}, where: {mode: [finetune, probe]}, margin: 0.01}
  - {claim: it is good, kind: non_inferior, cells: {heads: 1}, against: 0.5, margin: 0.1, better: higher}
  - {claim: both, kind: interaction, cells: {heads: 4, mode: probe}, against: {heads: 1, mode: finetune}}
replicates: {min: 2, max: 4, until: claims}
seed: 7
resources: {cpu: 0.5, gpu: 0}
"""
DESIGNED = """\
study: designed
question: Do the keys of designs work together?
baseline:
  encoder: {image_size: 8, patch_size: 2, channels: 1, width: 12, depth: 3, top_k: 1}
  finetune: {dataset: digits, epochs: 2}
factors:
  heads: {path: encoder.num_kv_heads, levels: [3, 6]}
  bias: {path: encoder.bias, levels: [true, false]}
  depth: {path: encoder.depth, levels: [3, 4]}
  width: {path: encoder.width, levels: [12, 24]}
  flip: {path: finetune.augment.flip, levels: [false, true]}
design: fractional
resolution: 4
paired: [[width, depth]]
only:
  - {when: {heads: [3, 6], finetune.epochs: 2}, reason: all there is}
"""
SAMPLED = DESIGNED.replace("design: fractional\nresolution: 4", "design: factorial\nsample: {cells: 5, method: random}")
VALID = [QUICKSTART, RICH, DESIGNED, SAMPLED]
SEEDS = [yaml.safe_load(text) for text in VALID]
KEYS = sorted(
    {key for grid in SEEDS for key in [*grid, *grid["baseline"], *grid["baseline"]["encoder"]]}
    | set(ClaimSpec.model_fields)
    | set(Adaptive.model_fields)
)

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def error_of(text: str | bytes) -> str | None:
    """The error message for a grid file, without its path; None if it can be planned."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        try:
            plan = make_plan(load(path), Store(Path(folder) / "store"))
            json.dumps(as_json(plan), allow_nan=False)
            show(plan, Console(file=io.StringIO()))
            message = None
        except StudyError as error:
            message = str(error)
            lines = message.split("\n")
            assert all(re.match(rf"{re.escape(str(path))}:\d*:? ", line) for line in lines[:10])
            assert all(re.fullmatch(r"and \d+ more", line) for line in lines[10:])
            message.encode()
            message = message.replace(str(path), "")
        assert [file.name for file in Path(folder).iterdir()] == ["grid.yaml"]
        return message


# --- mutated data ---

texts = st.text(max_size=12) | st.sampled_from(
    [
        "",
        " ",
        "../../x",
        "/",
        "a\nb",
        "\ud800",
        "\x1b[31m",
        "[bold]",
        "digits",
        "photos",
        "digit",
        "parquet:",
        "XS",
        *KEYS,
    ]
)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2, 3, 4.0, 10**30, 1e-3, 1e308, float("nan")])
scalars = st.none() | st.booleans() | numbers | texts
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.integers(), inner, max_size=3)
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything inside nested data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in inner for place in [(*path, key), *places(value, (*path, key))]]


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def mutate(draw: st.DrawFn, grid: Any) -> None:
    """One random change, in place."""
    found = places(grid)
    if not found:
        return
    path = draw(st.sampled_from(found))
    parent, key = at(grid, path[:-1]), path[-1]
    match draw(st.sampled_from(["replace", "borrow", "remove", "rename", "add", "repeat"])):
        case "replace":
            parent[key] = draw(junk)
        case "borrow":  # a value that is valid elsewhere
            parent[key] = copy.deepcopy(at(grid, draw(st.sampled_from(found))))
        case "remove":
            del parent[key]
        case "rename" if isinstance(parent, dict):
            parent[draw(texts)] = parent.pop(key)
        case "add" if isinstance(parent, dict):
            parent[draw(texts)] = draw(junk)
        case _ if isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))


@st.composite
def mutated_grids(draw: st.DrawFn) -> str:
    grid = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        mutate(draw, grid)
    return yaml.safe_dump(grid, sort_keys=False, allow_unicode=True)


@given(mutated_grids())
@relaxed
def test_mutated_data_are_planned_or_rejected(text: str) -> None:
    error_of(text)


# --- mutated text ---


@st.composite
def mutated_texts(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        tokens = st.sampled_from([*"[]{}:,-#&*!|>'\"%@`?~\t\n \\", "&a ", "*a", "<<: ", "!!int ", "!!set ", "- ", "? "])
        text = text[:start] + draw(tokens | st.text(max_size=3) | st.just("")) + text[end:]
    return text


@given(mutated_texts())
@relaxed
def test_mutated_text_is_planned_or_rejected(text: str) -> None:
    error_of(text)


@given(st.binary(max_size=200))
@relaxed
def test_noise_is_rejected(noise: bytes) -> None:
    assert error_of(noise) is not None


# --- values of every field ---


@given(st.sampled_from([p for p in places(SEEDS[1]) if p[0] == "baseline" and len(p) == 3]), junk)
@relaxed
def test_errors_about_a_field_name_it(path: tuple[str, ...], value: Any) -> None:
    """An error names the key of the value, or the cell of a level that it makes invalid."""
    grid = copy.deepcopy(SEEDS[1])
    at(grid, path[:-1])[path[-1]] = value
    message = error_of(yaml.safe_dump(grid, sort_keys=False, allow_unicode=True))
    assert message is None or any(
        words in message for words in (path[-1], "cell '", "changes nothing", "not valid YAML", "exclude")
    )


def test_the_original_grids_are_valid() -> None:
    assert [error_of(text) for text in VALID] == [None] * len(VALID)
