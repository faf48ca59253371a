"""Plausible mistakes of a first grid: each is one readable message with the line and what to write instead."""

import itertools
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.design import kinds
from study.design.claims import ClaimSpec
from study.design.grid import FactorSpec, Grid, LevelSpec, ParameterSpec, SearchSpec, TuneSpec
from study.design.level_ranges import expand_ranges
from study.design.metrics import METRICS
from study.design.mistakes import Mistakes
from study.design.overrides import paths
from study.design.resources import Resources
from study.design.study import Study, load
from study.design.synonyms import SYNONYMS
from study.design.yaml_file import GridFile
from study.utils.errors import StudyError

HEADS = "  heads:\n    path: encoder.num_kv_heads\n    levels:\n      - 1\n      - 3\n"
LEVELS = "    levels:\n      - 1\n      - 3\n"
WIDTH = "  width:\n    path: encoder.width\n    levels:\n      - 12\n      - 24\n"
TEXT = (
    "study: example\nquestion: What does it take?\n"
    "baseline:\n  encoder:\n    width: 12\n    depth: 3\n  finetune:\n    dataset: digits\n"
    f"factors:\n{HEADS}{WIDTH}"
)
DIGITS = "    dataset: digits\n"
RATE = f"{DIGITS}    learning_rate: "

# what is replaced in TEXT, its replacement, the line of the message, and some of its words
MISTAKES = [
    # nesting
    ("study:", "learning_rate: 0.1\nstudy:", 1, "did you mean 'finetune.learning_rate' or 'pretrain.learning_rate'?"),
    ("study:", "encoder: {width: 12}\nstudy:", 1, "unknown key 'encoder': write it below 'baseline'"),
    ("  finetune:", "  learning_rate: 0.1\n  finetune:", 7, "did you mean 'finetune.learning_rate'"),
    ("  finetune:", "  replicates: 2\n  finetune:", 7, "a key of the grid: move it out of 'baseline'"),
    (HEADS, "  encoder.num_kv_heads: [1, 3]\n", 10, "a mapping with keys among path, levels, baseline"),
    (HEADS, "  heads:\n", 10, "invalid value null: must be a mapping with keys among path"),
    (f"{HEADS}{WIDTH}", "", 9, "invalid value null: must be a mapping"),
    (f"{HEADS}{WIDTH}", "  - {name: heads, levels: [1]}\n", 9, "must be a mapping, as in {key: value}"),
    ("study:", "exclude: [{heads: 1}]\nstudy:", 1, "unknown key 'heads'; possible: when, reason"),
    ("study:", "claims: [a is better]\nstudy:", 1, "a mapping with keys among claim"),
    (
        "study:",
        "claims: [{claim: c, kind: less, cells: {heads: 1}, metric: latency}]\nstudy:",
        1,
        "unknown metric 'latency'; did you mean 'fp32_ms'?",
    ),
    (
        "study:",
        "claims: [{claim: c, kind: less, cells: {heads: 1}, metric: accuracy}]\nstudy:",
        1,
        "unknown metric 'accuracy'; did you mean 'test_accuracy'?",
    ),
    # ranges of levels
    (LEVELS, "    levels: {range: [3, 6]}\n", 12, "write levels: [{range: [3, 6]}]"),
    (HEADS, "  a: {path: encoder.num_kv_heads, levels: range(1, 4, 2)}\n", 10, "write levels: [{range: [1, 4, 2]}]"),
    (LEVELS, "    levels: np.logspace(-4, -2, 5)\n", 12, "write levels: [{logspace: [0.0001, 0.01, 5]}]"),
    (LEVELS, "    levels: geomspace(1e-4, 1e-2, 5)\n", 12, "write levels: [{logspace: [1e-4, 1e-2, 5]}]"),
    (LEVELS, "    levels: [{arange: [1, 5]}]\n", 12, "unknown range 'arange'; ranges are {linspace: [low, high,"),
    (LEVELS, "    levels: [{np.linspace: [1, 5, 2]}]\n", 12, "unknown range 'np.linspace'; ranges are"),
    (LEVELS, "    levels: [{name: few, value: 1}]\n", 12, "unknown key 'name'; did you mean 'label'?"),
    # words of other languages
    (
        f"{HEADS}{WIDTH}",
        "  pre-training: {path: pretrain, levels: [None]}\n",
        10,
        "or null; write null",
    ),
    ("    depth: 3", "    depth: 3\n    bias: Yes", 7, "must be true or false; write true"),
    # YAML
    ("    width: 12", "\twidth: 12", 5, "indent with spaces, not with tabs"),
    ("    width: 12", "    width: 12\n    width: 13", 6, "duplicate key 'width'"),
    ("    width: 12", "    width 12", 6, "check the colon and the indentation of this line and the one before"),
    ("    width: 12", "    width:12", 6, "check the colon and the indentation of this line and the one before"),
    ("    depth: 3", "      depth: 3", 6, "check the colon and the indentation"),
    ("What does", "What: does", 2, "quote text that contains ': '"),
    ("What does it take?", '"What does it take?', 2, "a closing quote is missing"),
    ("What does it take?", "'What's it?'", 2, "and the quotes if the line has any"),
    ("    width: 12", "\u00a0\u00a0\u00a0\u00a0width: 12", 6, "no-break spaces (U+00A0)"),
    ("    width: 12", "    <<: {depth: 3}", 5, "merge key << is not supported"),
    ("factors:", "---\nfactors:", 9, "a grid file has one document"),
    ("      - 1\n      - 3\n", "      -1\n      -3\n", 12, 'invalid value "-1 -3": must be a list'),
    ("      - 1\n", "      - #1\n", 13, "invalid value null: must be an integer"),
    # quotes and numbers
    ("    depth: 3", "    depth: 3\n    bias: 'true'", 7, 'invalid value "true": must be true or false'),
    ("    depth: 3", "    depth: 3\n    bias: yes", 7, 'invalid value "yes": must be true or false'),
    (DIGITS, f"{RATE}'0.1'\n", 9, "must be a number; write 0.1, without quotes"),
    (DIGITS, f"{RATE}0,1\n", 9, "must be a number; write 0.1"),
    (DIGITS, f"{RATE}10%\n", 9, "must be a number; write 0.1"),
    (DIGITS, f"{RATE}1e\N{MINUS SIGN}3\n", 9, "must be a number; write 1e-3"),
    (DIGITS, f"{RATE}1e400\n", 9, "invalid value Infinity: must be a finite number"),
    (DIGITS, f"{RATE}.nan\n", 9, "invalid value NaN: must be a finite number"),
    (DIGITS, f"{RATE}[1e-3, 1e-2]\n", 9, "to vary it, make it a factor with these levels"),
    ("    depth: 3", "    depth: -3", 6, "invalid value -3: must be 1 or more"),
    ("    depth: 3", "    depth: 99999999999999999999999", 6, "must be 1,000 or less"),
    ("study: example", "study: “example”", 1, "letters, digits, '.', '_' and '-'"),  # copied from a word processor
    ("study: example", f"study: {'x' * 90}", 1, "(90 characters): must be at most 64 characters"),
    # names
    ("study:", "seeds: 3\nstudy:", 1, "unknown key 'seeds'; did you mean 'replicates'?"),
    (DIGITS, f"{DIGITS}    lr: 0.1\n", 9, "unknown key 'lr'; did you mean 'learning_rate'?"),
    ("    width: 12", "    dim: 12", 5, "did you mean 'width'?"),
    ("encoder.width", "lr", 16, "did you mean 'finetune.learning_rate' or 'pretrain.learning_rate'?"),
    ("encoder.width", "finetune.wd", 16, "did you mean 'weight_decay'?"),
    ("encoder.width", "encoder/width", 16, "did you mean 'encoder.width'?"),
    ("encoder.width", "baseline.encoder.width", 16, "did you mean 'encoder.width'?"),
    ("encoder.width", "Encoder.Width", 16, "did you mean 'encoder.width'?"),
    ("study:", "design: grid\nstudy:", 1, "did you mean 'factorial'?"),
    ("    width: 12", "    preset: [XS, S]", 5, "presets are S, XS, XXS"),
    (DIGITS, "    dataset: cifar-10\n", 8, "Did you mean 'cifar10'?"),
    # levels
    ("    levels:\n      - 1\n      - 3\n", "    levels: {a: 1, b: 3}\n", 12, "must be a list, as in [1, 2]"),
    ("    levels:\n      - 1\n      - 3\n", "    levels: [3]\n", 10, "changes nothing"),
    ("      - 24\n", "      - {width: 24}\n", 19, "write only the value, as 'path' names its field: 24"),
    ("encoder.width\n    levels:\n      - 12\n      - 24", "pretrain\n    levels: [{dataset: photos}]", 17,
     'a mapping alone is not a level; write {label: NAME, value: {"dataset": "photos"}}'),
    ("      - 24\n", "      - {encoder.depth: 24}\n", 19, "write {label: NAME, set: {"),
    ("      - 24\n", f"      - {'two  words' * 30}\n", 19, "must be an integer"),  # not: is not a valid label
    ("      - 24\n", "      - {label: wide, value: '24'}\n", 19, "must be an integer; write 24, without quotes"),
    ("    levels:\n      - 12\n      - 24\n", "    levels: range(12, 25)\n", 17, "write levels: [{range: [12, 25]}]"),
    ("    levels:\n      - 12\n      - 24\n", "    levels: [np.logspace(1, 10, 3)]\n", 17, "[{logspace: [1, 10, 3]}]"),
    ("      - 24\n", "      - {logspace: [-4, -2, 5]}\n", 19, "values themselves, not exponents"),
    ("      - 24\n", "      - {linspace: [12, 24]}\n", 19, "must be {linspace: [low, high, number]}"),
    ("      - 24\n", "      - {range: [24, 12]}\n", 19, "must have from 1 to 1,000 levels"),
]  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "bad.yaml"
    path.write_bytes(text.encode())
    return path


def messages(folder: Path, text: str) -> list[str]:
    """The messages on an invalid grid, without the folder."""
    from helpers.looks import make_plan

    from study.store.results import Store

    with pytest.raises(StudyError) as caught:
        make_plan(load(written(folder, text)), Store(folder / "store"))
    assert [file.name for file in folder.iterdir()] == ["bad.yaml"]
    return str(caught.value).replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize(("old", "new", "line", "words"), MISTAKES)
def test_a_mistake_is_explained(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in TEXT
    found = messages(tmp_path, TEXT.replace(old, new, 1))
    assert any(message.startswith(f"bad.yaml:{line}: ") and words in message for message in found), found
    assert all(message.startswith("bad.yaml:") for message in found)


@pytest.mark.parametrize("text", [TEXT.replace("\n", "\r\n"), f"\ufeff{TEXT}"], ids=["Windows", "byte order mark"])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path: Path, text: str) -> None:
    assert len(load(written(tmp_path, text)).cells) == 3


def test_all_mistakes_are_reported_at_once_in_order(tmp_path: Path) -> None:
    """Of the schema, the baseline and the factors; one message per key."""
    text = (
        TEXT.replace("study: example\n", "seeds: 3\nstudy: example\n").replace("depth: 3", "depth: 0")
        .replace("dataset: digits", "dataset: digits\n    epochs: -1").replace("      - 24\n", "      - x\n")
        .replace("path: encoder.num_kv_heads", "path: encoder.heads")
    )  # fmt: skip
    assert [message.split(": ")[:2] for message in messages(tmp_path, text)] == [
        ["bad.yaml:1", "seeds"],
        ["bad.yaml:7", "baseline.encoder.depth"],
        ["bad.yaml:10", "baseline.finetune.epochs"],
        ["bad.yaml:13", "factors.heads.path"],
        ["bad.yaml:21", "factors.width.levels[1]"],
    ]


def test_invalid_cells_are_reported_at_once(tmp_path: Path) -> None:
    """Values that are invalid together with the baseline: 5 and 4 do not divide 6; both cells, each once."""
    text = TEXT.replace("      - 1\n      - 3\n", "      - 5\n      - 3\n      - 4\n").replace(
        "study:", "design: factorial\nstudy:", 1
    )
    found = messages(tmp_path, text)
    assert [message.split(": ")[0] for message in found] == ["bad.yaml:14", "bad.yaml:16"]


def test_more_than_ten_mistakes_are_counted(tmp_path: Path) -> None:
    text = TEXT.replace("study:", "".join(f"zz{i}: 1\n" for i in range(13)) + "study:", 1)
    found = messages(tmp_path, text)
    assert [message.split(": ")[0] for message in found[:10]] == [f"bad.yaml:{i}" for i in range(1, 11)]
    assert found[10:] == ["and 3 more"]


WRONG = """\
study: example
question: What does it take?
seeds: 3
zzz: 1
baseline:
  encoder: {width: 12, depth: 3}
  finetune:
    dataset: digits
    zz: 0.1
factors:
  heads: {path: encoder.num_kv_heads, levels: [1, 3]}
  width: {path: encoder.width, levels: [12, {linspace: [12, 24, 6]}]}
  mode: {path: finetune.mode, levels: [finetune, probe]}
claims:
  - {claim: of a wrong factor, kind: greater, cells: {width: 33}}
  - {claim: of no kind, kind: bigger, cells: {heads: 1}}
  - {claim: of an unknown level, kind: greater, cells: {mode: probes}}
compare:
  - {cells: {mode: probe}, metric: test_accurcy}
exclude:
  - {when: {modus: x}, reason: why}
paired:
  - [heads, heds]
tune:
  budget: 0
  parameters:
    finetune.weight_decay: {low: 0.1, high: 0.01}
"""
MESSAGES = [
    "bad.yaml:3: seeds: unknown key 'seeds'; did you mean 'replicates'? Possible: study, question, baseline, factors, "
    "design, resolution, sample, paired, only, exclude, claims, compare, replicates, resample, failures, "
    "replication, tune, search, seed, resources",
    "bad.yaml:4: zzz: unknown key 'zzz'",  # the names are above
    "bad.yaml:9: baseline.finetune.zz: unknown key 'zz'; possible: dataset, epochs, batch_size, optimizer, "
    "learning_rate, weight_decay, warmup_epochs, clip_norm, augment, train_images, precision, compile, mode, "
    "label_smoothing, layer_decay, keep",
    'bad.yaml:12: factors.width.levels[1]: {"linspace": [12, 24, 6]}: encoder.width: invalid value 14.4: must be an '
    "integer",
    'bad.yaml:16: claims[1].kind: invalid value "bigger"; possible: greater, less, equivalent, non_inferior, '
    "interaction",
    "bad.yaml:17: claims[2].cells.mode: factor 'mode' has no level 'probes'; did you mean 'probe'? Possible: "
    "finetune, probe",
]


def test_mistakes_of_all_sections_are_reported_at_once(tmp_path: Path) -> None:
    """The claim that names the wrong factor `width` follows from it, so it is no mistake of its own."""
    found = messages(tmp_path, WRONG)
    assert found[:6] == MESSAGES
    assert [message.split(": ")[:2] for message in found[6:]] == [
        ["bad.yaml:19", "compare[0].metric"],
        ["bad.yaml:21", "exclude[0].when.modus"],
        ["bad.yaml:23", "paired[0]"],
        ["bad.yaml:25", "tune.budget"],
        ["and 1 more"],  # tune.parameters
    ]


def test_a_mistake_in_a_cell_and_one_in_a_claim_are_reported_at_once(tmp_path: Path) -> None:
    text = TEXT.replace("      - 3\n", "      - 5\n") + "claims:\n  - {claim: a, kind: less, cells: {width: 25}}\n"
    assert [message.split(": ")[:2] for message in messages(tmp_path, text)] == [
        ["bad.yaml:14", "factors.heads.levels[1]"],
        ["bad.yaml:21", "claims[0].cells.width"],
    ]


@pytest.mark.parametrize("wrong", ["1.5", "null", "text", "{}", "{set: 1}"])
@pytest.mark.parametrize("key", ["levels: [1, 3]", "{path: encoder.num_kv_heads, levels: [1, 3]}", "[1, 3]"])
def test_a_value_of_any_type_beside_another_mistake(tmp_path: Path, key: str, wrong: str) -> None:
    """A factor may be anything when it is compared with a wrong field of the baseline."""
    text = VALID.replace("epochs: 3", "epochs: 0").replace(key, f"levels: {wrong}" if key[0] == "l" else wrong, 1)
    found = messages(tmp_path, text)
    assert {message.split(": ")[1].split(".")[0] for message in found} == {"baseline", "factors"}


def test_all_unknown_data_sets_are_reported_at_once(tmp_path: Path) -> None:
    text = TEXT.replace("dataset: digits", "dataset: cifar-10") + (
        "  data:\n    path: finetune.dataset\n    levels:\n      - digit\n      - digits\n      - 'parquet:none'\n"
    )
    found = messages(tmp_path, text)
    assert [[*message.split(": ", 3)[:2], message.partition("unknown ")[2]] for message in found] == [
        ["bad.yaml:8", "baseline.finetune.dataset",
         "data set 'cifar-10'. Did you mean 'cifar10'? Data sets: digits, photos, cifar10, cifar100, svhn, flowers102, "
         "fashion-mnist, mnist, parquet:PATH, imagefolder:PATH"],
        ["bad.yaml:23", "factors.data.levels[0]", "data set 'digit'. Did you mean 'digits'?"],
        ["bad.yaml:25", "factors.data.levels[2]", ""],  # no such folder
    ]  # fmt: skip


VALID = """\
study: example
question: What does it take?
replicates: 3
resources: {cpu: 1}
seed: 0
baseline:
  encoder:
    width: 12
    depth: 3
  finetune:
    dataset: digits
    epochs: 3
factors:
  heads: {path: encoder.num_kv_heads, levels: [1, 3]}
  bias: {path: encoder.bias, levels: [true, false]}
  rule: {path: finetune.optimizer, levels: [adamw, sgd]}
  clip: {path: finetune.clip_norm, levels: [1.0, 2.0]}
claims:
  - {claim: a, kind: greater, cells: {heads: 1}, against: {heads: 3}}
  - {claim: b, kind: less, cells: {heads: 1}, against: {heads: 3}, where: {clip: 1}}
compare:
  - {cells: {heads: 1}, against: {heads: 3}, metric: params}
  - {cells: {clip: 1}, against: {clip: 2}}
exclude:
  - {when: {clip: 2, rule: sgd}, reason: too long}
  - {when: {clip: 2, bias: true}, reason: too short}
design: factorial
tune:
  budget: 3
  parameters:
    finetune.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
    finetune.weight_decay: {low: 0.01, high: 0.1}
"""
MUTATIONS = [  # independent of each other: each replaces the only such text in VALID
    ("study: example", "study: '?!'"),
    ("replicates: 3", "replicates: many"),
    ("{cpu: 1}", "{cpus: 1}"),
    ("depth: 3", "depth: 0"),
    ("epochs: 3", "epoch: 3"),
    ("encoder.bias, levels: [true, false]", "encoder.bias, levels: [true, 7]"),
    ("encoder.bias, levels: [true, false]", "encoder.bies, levels: [true, false]"),
    ("encoder.bias, levels: [true, false]", "encoder.bias, levels: [true, true]"),
    ("claim: a, kind: greater", "claim: a, kind: bigger"),
    ("claim: a, kind: greater", "claim: a, knid: greater"),
    ("cells: {heads: 1}, against: {heads: 3}}", "cells: {heads: 1}, against: {heads: 4}}"),
    ("where: {clip: 1}", "where: {clop: 1}"),
    ("metric: params", "metric: parms"),
    ("{clip: 1}, against: {clip: 2}}", "{clip: 1}, against: {clip: 3}}"),
    ("rule: sgd}, reason: too long", "rule: sgdd}, reason: too long"),
    ("reason: too short", "reson: too short"),
    ("design: factorial", "design: factory"),
    ("budget: 3", "budget: none"),
    ("low: 1.0e-4", "low: 1"),
    ("finetune.weight_decay", "finetune.weight_dekay"),
    ("seed: 0", "nonsense: 1"),
]


def test_the_grid_without_mutations_is_valid(tmp_path: Path) -> None:
    assert load(written(tmp_path, VALID)).space is not None


@pytest.mark.parametrize("seed", range(60))
def test_independent_mistakes_are_all_reported(tmp_path: Path, seed: int) -> None:
    """k mutations in k places give k messages, each with its line, up to ten and the number of the others."""
    drawn = random.Random(seed)
    mutations = drawn.sample(MUTATIONS, drawn.randint(1, len(MUTATIONS)))
    chosen = {VALID[: VALID.index(old)].count("\n"): (old, new) for old, new in mutations}  # one of each line
    text = VALID
    for old, new in chosen.values():
        assert VALID.count(old) == 1
        text = text.replace(old, new, 1)
    lines = [line + 1 for line in chosen]
    found = messages(tmp_path, text)
    assert [int(message.split(":")[1]) for message in found[:10]] == sorted(lines)[:10]
    assert found[10:] == ([f"and {len(lines) - 10} more"] if len(lines) > 10 else [])


@pytest.mark.parametrize(
    "level", ["{logspace: [-4, -2, 5]}", "{arange: [1, 5]}", "{linspace: [1, 6, 3]}", "{range: [1]}"]
)
def test_an_invalid_range_is_one_mistake(tmp_path: Path, level: str) -> None:
    assert len(messages(tmp_path, TEXT.replace(LEVELS, f"    levels: [{level}]\n"))) == 1


def test_a_misspelt_key_is_not_missing_too(tmp_path: Path) -> None:
    found = messages(tmp_path, TEXT.replace("study:", "studdy:").replace("question: What does it take?\n", ""))
    assert len(found) == 2
    assert "unknown key 'studdy'; did you mean 'study'?" in found[0]
    assert "'question' is missing" in found[1]


def test_every_synonym_stands_for_names_that_exist() -> None:
    models = (Grid, FactorSpec, LevelSpec, ParameterSpec, TuneSpec, SearchSpec, ClaimSpec, Resources)
    known = {name for model in models for name in model.model_fields} | {path.rpartition(".")[2] for path in paths()}
    known |= {design.in_grid for design in kinds.DESIGNS.values()} | METRICS.keys()
    assert {name for names in SYNONYMS.values() for name in names} <= known


# --- ranges of levels ---


def levels(*entries: Any) -> Any:
    data = {"factors": {"f": {"levels": list(entries)}}}
    mistakes = Mistakes()
    expanded = expand_ranges(GridFile(Path("x.yaml"), data, {}, ""), mistakes)
    mistakes.check()
    return expanded.data["factors"]["f"]["levels"]


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ({"linspace": [0, 0.3, 4]}, [0.0, 0.1, 0.2, 0.3]),  # exact: 3 x 0.1 is not 0.3 in floating-point numbers
        ({"linspace": [64, 256, 4]}, [64, 128, 192, 256]),
        ({"logspace": [1e-4, 1e-2, 3]}, [1e-4, 1e-3, 1e-2]),
        ({"logspace": [1, 1000, 4]}, [1, 10, 100, 1000]),
        ({"logspace": [16, 256, 5]}, [16, 32, 64, 128, 256]),
        ({"range": [1, 5]}, [1, 2, 3, 4]),
        ({"range": [4, 10, 2]}, [4, 6, 8]),
        ({"range": [0.1, 0.4, 0.1]}, [0.1, 0.2, 0.3]),
        ({"range": [5, 2, -1]}, [5, 4, 3]),
    ],
)
def test_values_of_ranges_are_exact(form: dict[str, Any], values: list[float]) -> None:
    assert levels(form) == values
    assert [type(value) for value in levels(form)] == [type(value) for value in values]


def test_values_with_many_digits_get_a_short_label() -> None:
    assert levels({"logspace": [1e-4, 1e-2, 5]}) == [
        1e-4,
        {"label": "0.000316", "value": 0.00031622776601683794},  # 10 ** -3.5
        1e-3,
        {"label": "0.00316", "value": 0.0031622776601683794},
        1e-2,
    ]


def test_ranges_stand_beside_other_levels(tmp_path: Path) -> None:
    text = TEXT.replace("      - 24\n", "      - {range: [24, 49, 12]}\n      - {label: huge, value: x}\n")
    study: Study = load(written(tmp_path, text.replace("value: x", "value: 96")))
    assert [level.label for level in study.factors[1].levels] == ["12", "24", "36", "48", "huge"]
    found = messages(tmp_path, text)
    assert [message.split(": ")[0] for message in found] == ["bad.yaml:20"]  # behind the range


@given(st.floats(1e-6, 1e3), st.floats(1.1, 1e3), st.integers(2, 9))
def test_logarithmic_ranges_have_equal_ratios_and_exact_ends(low: float, ratio: float, number: int) -> None:
    found = [
        level["value"] if isinstance(level, dict) else level
        for level in levels({"logspace": [low, low * ratio, number]})
    ]
    assert (found[0], found[-1]) == (low, low * ratio)
    steps = [math.log(b / a) for a, b in itertools.pairwise(found)]
    assert steps == pytest.approx([math.log(found[-1] / found[0]) / (number - 1)] * (number - 1), rel=1e-6)
