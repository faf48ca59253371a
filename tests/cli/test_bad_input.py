"""Every mistake in a grid is one clear message with file, line, key, value and valid values; nothing is written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.looks import make_plan

from study.design.study import load
from study.store.results import Store
from study.utils.errors import StudyError

TEXT = """\
study: example
question: What does it take?
baseline:
  encoder:
    width: 12
    depth: 3
  finetune:
    dataset: digits
factors:
  heads:
    path: encoder.num_kv_heads
    levels:
      - 1
      - 3
  width:
    path: encoder.width
    levels:
      - 12
      - 24
"""

ENCODER, FINETUNE = "baseline.encoder", "baseline.finetune"
LEVEL = "factors.heads.levels[0]"
WHEN = "exclude[0].when"

# the text to replace in TEXT, its replacement, and the line, key and words of the error
PARTS = [
    ("study: example", "studdy: example", 1, "studdy", "unknown key 'studdy'; did you mean 'study'?"),
    ("study: example\n", "", 1, "study", "'study' is missing"),
    ("study: example", "study: ../up", 1, "study", 'invalid value "../up"'),
    ("study: example", "study: 12", 1, "study", "invalid value 12: must be text"),
    ("question: What does it take?", "question:", 2, "question", "invalid value null: must be text"),
    ("question: What does it take?", "question: ''", 2, "question", "must be non-empty"),
    ("study:", "design: both\nstudy:", 1, "design", "possible: one_factor, leave_one_out, add_one, [leave"),
    ("study:", "design: leave_on_out\nstudy:", 1, "design", "did you mean 'leave_one_out'?"),
    ("study:", "design: [one_factor]\nstudy:", 1, "design", "did you mean 'one_factor'?"),
    ("study:", "design: [add_one, leave_one_out]\nstudy:", 1, "design", "add_one, [leave_one_out, add_one], factorial"),
    ("study:", "resolution: 4\nstudy:", 1, "resolution", "belongs to design: fractional, but the design is one_factor"),
    ("study:", "resolution: 6\nstudy:", 1, "resolution", "invalid value 6: must be 3, 4 or 5"),
    ("study:", "sample: 5\nstudy:", 1, "sample", "belongs to design: factorial, but the design is one_factor"),
    ("study:", "sample: 1\nstudy:", 1, "sample", "invalid value 1: must be 2 or more"),
    ("study:", "sample: {method: random}\nstudy:", 1, "sample.cells", "'cells' is missing: number of cells"),
    ("study:", "sample: {cells: 4, methd: x}\nstudy:", 1, "sample.methd", "did you mean 'method'?"),
    ("study:", "paired: [heads, width]\nstudy:", 1, "paired[0]", "must be a list"),
    ("study:", "paired: [[heads]]\nstudy:", 1, "paired[0]", "requires at least two factors"),
    ("study:", "paired: [[heads, widht]]\nstudy:", 1, "paired[0]", "unknown factor 'widht'; did you mean 'width'?"),
    ("study:", "paired: [[heads, heads]]\nstudy:", 1, "paired[0]", "duplicate factor 'heads'"),
    ("study:", "paired: [[heads, width]]\nstudy:", 1, "paired[0]", "number 2 in 'heads' and number 1 in 'width'"),
    ("study:", "replicates: 0\nstudy:", 1, "replicates", "invalid value 0: must be 1 or more"),
    ("study:", "replicates: 2.0\nstudy:", 1, "replicates", "must be an integer"),
    ("study:", "replicates: 999999999\nstudy:", 1, "design", "exceed the limit of 1,000,000 trials"),
    ("study:", "seed: -1\nstudy:", 1, "seed", "must be 0 or more"),
    ("study:", "resources: {cpu: 0}\nstudy:", 1, "resources.cpu", "must be above 0"),
    ("study:", "resources: {gpu: .nan}\nstudy:", 1, "resources.gpu", "must be a finite number"),
    ("study:", "resources: {gpu: 1.5}\nstudy:", 1, "resources.gpu", "1.5 GPUs cannot be assigned"),
    ("study:", "resources: {gpu: 2.25}\nstudy:", 1, "resources.gpu", "fraction below 1, such as 0.5, or a whole"),
    ("study:", "resources: [1]\nstudy:", 1, "resources", "a mapping with keys among cpu, gpu"),
]
BASELINES = [
    ("    width: 12", "    widht: 12", 5, f"{ENCODER}.widht", "did you mean 'width'?"),
    ("    width: 12", "    width: '12'", 5, f"{ENCODER}.width", 'invalid value "12": must be an integer'),
    ("    width: 12", "    width: true", 5, f"{ENCODER}.width", "invalid value true: must be an integer"),
    ("    width: 12", "    width: 0", 5, f"{ENCODER}.width", "invalid value 0: must be 1 or more"),
    ("    width: 12", "    width: 1e12", 5, f"{ENCODER}.width", "invalid value 1000000000000.0"),
    ("    width: 12", "    width: 99999999999999", 5, f"{ENCODER}.width", "must be 65,536 or less"),
    ("    depth: 3", "    depth: 3\n    num_heads: 5", 7, f"{ENCODER}.num_heads", "must be one of 1, 2, 3, 4, 6, 12"),
    ("    depth: 3", "    depth: 3\n    top_k: 4", 7, f"{ENCODER}.top_k", "must be 1 to 3"),
    ("    depth: 3", "    depth: 3\n    patch_size: 5", 7, f"{ENCODER}.patch_size", "5 does not divide image_size 36"),
    ("    depth: 3", "    depth: 2", 4, f"{ENCODER}.experts_by_depth", "3 parts but depth is 2"),
    ("    depth: 3", "    depth: 3\n    preset: M", 7, f"{ENCODER}.preset", "unknown preset 'M'; presets are S, XS"),
    ("    depth: 3", "    experts_by_depth: [3, x]", 6, f"{ENCODER}.experts_by_depth[1]", 'invalid value "x"'),
    ("  finetune:", "  finetunes:", 7, "baseline.finetunes", "did you mean 'finetune'?"),
    ("  finetune:\n    dataset: digits\n", "", 3, "baseline.finetune", "'finetune' is missing"),
    ("  finetune:\n    dataset: digits\n", "  finetune: digits\n", 7, "baseline.finetune", "a mapping with keys among"),
    ("    dataset: digits", "    epochs: 3", 7, f"{FINETUNE}.dataset", "'dataset' is missing"),
    ("    dataset: digits", "    dataset: digits\n    mode: probe", 9, f"{FINETUNE}.mode", "but pretrain is null"),
    ("    dataset: digits", "    dataset: digits\n    compile: yes", 9, f"{FINETUNE}.compile", "'auto', 'on' or 'off'"),
    ("    dataset: digits", "    dataset: digits\n    augment: {flop: true}", 9, f"{FINETUNE}.augment.flop", "'flip'?"),
]
DATASETS = [
    ("    dataset: digits", "    dataset: digit", 8, f"{FINETUNE}.dataset", "Did you mean 'digits'?"),
    ("    dataset: digits", "    dataset: photos", 8, f"{FINETUNE}.dataset", "'photos' has no labels"),
    ("    dataset: digits", "    dataset: 'parquet:'", 8, f"{FINETUNE}.dataset", "write parquet:PATH"),
    ("    dataset: digits", "    dataset: imagefolder:/nowhere", 8, f"{FINETUNE}.dataset", "/nowhere not found"),
    ("    dataset: digits", "    dataset: digits\n    train_images: 1078", 9, f"{FINETUNE}.train_images", "the 1,077"),
    ("  finetune:", "  pretrain: {dataset: cifar}\n  finetune:", 7, "baseline.pretrain.dataset", "mean 'cifar10'?"),
    ("encoder.width\n    levels:\n      - 12\n      - 24", "finetune.dataset\n    levels: [minst]", 17,
     "factors.width.levels[0]", "cell 'width=minst': finetune.dataset: unknown data set 'minst'"),
]  # fmt: skip
FACTORS = [
    (
        "    path: encoder.num_kv_heads\n    levels:\n      - 1\n",
        "    path: pretrain\n    baseline: scratch\n    levels:\n      - none\n",
        14,
        "factors.heads.levels[0]",
        'invalid value "none": must be a mapping with keys among dataset, epochs',
    ),
    (
        "    path: encoder.num_kv_heads\n    levels:\n      - 1\n",
        "    path: pretrain\n    baseline: scratch\n    levels:\n      - none\n",
        14,
        "factors.heads.levels[0]",
        "decoder, or null",
    ),
    (
        "    dataset: digits",
        "    dataset: digits\n    train_images: none",
        9,
        f"{FINETUNE}.train_images",
        "must be an integer, or null",
    ),
    ("  heads:\n", "  '':\n", 10, "factors.", "must be non-empty"),
    ("  heads:\n", f"  {'h' * 81}:\n", 10, "factors." + "h" * 77, "at most 80 characters"),
    ("  heads:\n", '  "a b ":\n', 10, "factors.a b ", "must be one line"),
    ("  heads:\n", "  status:\n", 10, "factors.status", "is a column of results.csv"),
    ("    path: encoder.num_kv_heads", "    paht: x", 11, "factors.heads.paht", "did you mean 'path'?"),
    ("    path: encoder.num_kv_heads", "    path: encoder.kv", 11, "factors.heads.path", "unknown field encoder.kv"),
    (
        "    path: encoder.num_kv_heads",
        "    path: encoder.width.x",
        11,
        "factors.heads.path",
        "has no fields",
    ),
    (
        "    path: encoder.num_kv_heads",
        "    path: num_kv_heads",
        11,
        "factors.heads.path",
        "did you mean 'pretrain.decoder.num_kv_heads' or 'encoder.num_kv_heads'?",
    ),
    ("    path: encoder.num_kv_heads", "    path: coder", 11, "factors.heads.path", "did you mean 'encoder'?"),
    ("    path: encoder.num_kv_heads\n", "", 12, LEVEL, "requires the factor's 'path'"),
    ("    levels:\n      - 1\n      - 3", "    levels: []", 12, "factors.heads.levels", "must be non-empty"),
    ("    levels:\n      - 1\n      - 3", "    levels: 3", 12, "factors.heads.levels", "invalid value 3"),
    ("    levels:\n      - 1\n      - 3", "    levels: [3]", 10, "factors.heads", "changes nothing"),
    ("      - 3\n", "      - 3\n    baseline: b\n", 15, "factors.heads.baseline", "level '3' equals the baseline"),
    ("      - 3\n", "    baseline: '1'\n", 10, "factors.heads", "duplicate label '1' of the baseline level"),
]
LEVELS = [
    ("      - 1\n", "      -\n", 13, LEVEL, "encoder.num_kv_heads: invalid value null: must be an integer"),
    ("      - 1\n", "      - ''\n", 13, LEVEL, 'encoder.num_kv_heads: invalid value "": must be an integer'),
    ("      - 1\n", "      - []\n", 13, LEVEL, "encoder.num_kv_heads: invalid value []: must be an integer"),
    ("      - 1\n", "      - {}\n", 13, LEVEL, "either 'value'"),
    ("      - 1\n", "      - {label: a}\n", 13, LEVEL, "either 'value'"),
    ("      - 1\n", "      - {value: 1, set: {encoder.depth: 4}}\n", 13, LEVEL, "either 'value'"),
    ("      - 1\n", "      - {label: a, vale: 1}\n", 13, f"{LEVEL}.vale", "did you mean 'value'?"),
    ("      - 1\n", "      - {label: a, set: {}}\n", 13, f"{LEVEL}.set", "empty level"),
    ("      - 1\n", "      - {label: a, set: {encoder.dpth: 4}}\n", 13, f"{LEVEL}.set.encoder.dpth", "'depth'?"),
    ("      - 1\n", "      - set: {encoder.depth: 4, encoder.bias: false}\n", 13, LEVEL, "requires a 'label'"),
    (
        "      - 1\n",
        "      - {label: a, set: {encoder: 4, encoder.bias: false}}\n",
        13,
        LEVEL,
        "a mapping with keys among",
    ),
    ("      - 1\n", "      - 4\n", 13, LEVEL, "cell 'heads=4': encoder.num_kv_heads: 4 does not divide num_heads 6"),
    ("      - 24\n", "      - 13\n", 19, "factors.width.levels[1]", "encoder.num_heads: 6 does not divide width 13"),
    ("      - 3\n", "      - 1\n", 14, "factors.heads.levels[1]", "duplicate level: same label as '1' on line 13"),
    (
        "      - 1\n",
        '      - {label: "3\\u200b", value: 2}\n',
        14,
        "factors.heads.levels[1]",
        r"duplicate level: looks like '3\u200b' on line 13",
    ),
    ("      - 1\n", '      - {label: "\\u202e", value: 1}\n', 13, f"{LEVEL}.label", "has no visible character"),
    (
        "      - 1\n",
        "      - {label: '3', value: 2}\n",
        14,
        "factors.heads.levels[1]",
        "duplicate level: same label as '3'",
    ),
    (
        "      - 1\n",
        "      - {label: three, value: 3}\n",
        14,
        "factors.heads.levels[1]",
        "same settings as 'three' on",
    ),
]
EXCLUSIONS = [
    ("study:", "exclude: {}\nstudy:", 1, "exclude", "must be a list"),
    ("study:", "exclude: [{when: {heads: 1}}]\nstudy:", 1, "exclude[0].reason", "'reason' is missing"),
    ("study:", "exclude: [{when: {}, reason: r}]\nstudy:", 1, WHEN, "must be non-empty"),
    ("study:", "exclude: [{when: {head: 1}, reason: r}]\nstudy:", 1, f"{WHEN}.head", "did you mean 'heads'?"),
    ("study:", "exclude: [{when: {heads: 2}, reason: r}]\nstudy:", 1, f"{WHEN}.heads", "no level '2'; possible: 3, 1"),
    ("study:", "exclude: [{when: {encoder.dept: 1}, reason: r}]\nstudy:", 1, f"{WHEN}.encoder.dept", "'depth'?"),
    ("study:", "exclude: [{when: {encoder.depth: 9}, reason: r}]\nstudy:", 1, "exclude[0]", "covers no cell"),
    ("study:", "exclude: [{when: {encoder.depth: 3}, reason: r}]\nstudy:", 1, "exclude[0]", "excludes the baseline"),
    ("study:", "only: [{when: {heads: 1}}]\nstudy:", 1, "only[0].reason", "'reason' is missing"),
    ("study:", "only: [{when: {head: 1}, reason: r}]\nstudy:", 1, "only[0].when.head", "did you mean 'heads'?"),
    ("study:", "only: [{when: {heads: 1}, reason: r}]\nstudy:", 1, "only[0]", "add '3' to 'heads'"),
    ("study:", "only: [{when: {encoder.width: 24}, reason: r}]\nstudy:", 1, "only[0]", "add 12 to 'encoder.width'"),
    ("study:", "only: [{when: {heads: 3, width: 12}, reason: r}]\nstudy:", 1, "only", "leaves only the baseline"),
    (
        "study:",
        "exclude: [{when: {heads: 1}, reason: r}, {when: {width: 24}, reason: r}]\nstudy:",
        1,
        "exclude",
        "leaves only the baseline",
    ),
]
CLAIM = "study:"  # the claim under test is inserted above this line, on lines 1 to 3


def claims(*written: str) -> str:
    return "claims:\n" + "".join(f"  - {{{claim}}}\n" for claim in written) + "study:"


GOOD = "claim: c, kind: greater, cells: {heads: 1}"
INTERACTION = "claim: c, kind: interaction, cells: {heads: 1, width: 24}"
EXCLUDE = "exclude: [{when: {heads: 1}, reason: r}]\n"
CLAIMS = [
    (CLAIM, "claims: {}\nstudy:", 1, "claims", "must be a list"),
    (CLAIM, claims("kind: greater"), 2, "claims[0].claim", "'claim' is missing: the hypothesis as a sentence"),
    (CLAIM, claims("claim: c, cells: {heads: 1}"), 2, "claims[0].kind", "'kind' is missing"),
    (CLAIM, claims("claim: c, kind: more"), 2, "claims[0].kind", 'invalid value "more"; possible: greater, less'),
    (CLAIM, claims("claim: c, kind: greater"), 2, "claims[0]", "'cells' names no factor"),
    (CLAIM, claims("claim: c, kind: equivalent, cells: {heads: 1}"), 2, "claims[0]", "requires a margin above 0"),
    (CLAIM, claims(f"{GOOD}, margin: -1"), 2, "claims[0].margin", "must be 0 or more"),
    (CLAIM, claims(f"{GOOD}, margin: a"), 2, "claims[0].margin", "must be a number"),
    (CLAIM, claims(f"{GOOD}, against: high"), 2, "claims[0].against", 'invalid value "high": must be a number'),
    (CLAIM, claims(f"{GOOD}, against: .inf"), 2, "claims[0].against", "must be a finite number"),
    (CLAIM, claims(f"{GOOD}, against: {{width: 24}}"), 2, "claims[0].against", "name the same factors"),
    (CLAIM, claims(f"{GOOD}, against: {{head: 3}}"), 2, "claims[0].against.head", "unknown factor 'head'; did you"),
    (CLAIM, claims(f"{GOOD}, wher: {{}}"), 2, "claims[0].wher", "did you mean 'where'?"),
    (CLAIM, claims(GOOD, GOOD), 3, "claims[1].claim", "duplicate of claims[0]"),
    (CLAIM, claims(f"{GOOD}, metric: test_acc"), 2, "claims[0].metric", "did you mean 'test_accuracy'?"),
    (CLAIM, claims(f"{GOOD}, metric: accuracy"), 2, "claims[0].metric", "unknown metric 'accuracy'; did you mean"),
    (CLAIM, claims(f"{GOOD}, metric: zzz"), 2, "claims[0].metric", "possible: test_accuracy, val_accuracy, train_sec"),
    (CLAIM, claims(f"{GOOD}, margin: 0.5"), 2, "claims[0].margin", "did you mean `0.5 points` or `50 points`?"),
    (CLAIM, claims(f"{GOOD}, margin: 2 %"), 2, "claims[0].margin", "write `2 points`"),
    (CLAIM, claims("claim: c, kind: greater, cells: {head: 1}"), 2, "claims[0].cells.head", "did you mean 'heads'?"),
    (CLAIM, claims("claim: c, kind: greater, cells: {heads: 2}"), 2, "claims[0].cells.heads", "no level '2'"),
    (CLAIM, claims("claim: c, kind: greater, cells: {heads: 3}"), 2, "claims[0].cells.heads", "compared with itself"),
    (CLAIM, claims(f"{GOOD}, where: {{width: 24}}"), 2, "claims[0]", "have heads=1 and heads=3, where width=24"),
    (CLAIM, claims(f"{GOOD}, where: {{width: 13}}"), 2, "claims[0].where.width", "no level '13'; possible: 12, 24"),
    (CLAIM, claims("claim: c, kind: interaction, cells: {heads: 1, width: 24}"), 2, "claims[0]", "design: factorial"),
    (CLAIM, claims("claim: c, kind: greater, cells: {heads: 1, width: 24}, against: 0.9"), 2, "claims[0]",
     "no cell of this design has heads=1, width=24"),
    (CLAIM, EXCLUDE + claims(GOOD), 3, "claims[0]", "'exclude[0]' on line 1 excludes heads=1; change it, or compare"),
    (CLAIM, EXCLUDE + claims("claim: c, kind: greater, cells: {heads: 1}, against: 0.9"), 3, "claims[0]",
     "no cell of this design has heads=1, width=12; 'exclude[0]' on line 1 excludes heads=1"),
    (CLAIM, "design: factorial\n" + EXCLUDE + claims(f"{GOOD}, where: {{width: 24}}"), 4, "claims[0]",
     "'exclude[0]' on line 2 excludes heads=1, width=24"),
    (CLAIM, "only: [{when: {heads: 3}, reason: r}]\n" + claims(GOOD), 3, "claims[0]", "'only' on line 1 excludes"),
    (CLAIM, "design: factorial\nsample: 2\n" + claims(INTERACTION), 4, "claims[0]", "'sample' on line 2 excludes"),
]  # fmt: skip
TUNE = "tune: {budget: 2, parameters: {finetune.learning_rate: {low: 1e-4, high: 1e-2}}"
TUNING = [
    (CLAIM, "tune: {budget: 2, parameters: {learning_rate: {low: 1e-4, high: 1e-2}}}\nstudy:", 1,
     "tune.parameters.learning_rate",
     "unknown field learning_rate; did you mean 'finetune.learning_rate' or 'pretrain.learning_rate'?"),
    (CLAIM, "tune: {trials: 2}\nstudy:", 1, "tune.trials",
     "did you mean 'budget'? Possible: budget, parameters, seeds, warm_start, parallel"),
    (CLAIM, f"{TUNE}, early_stopping: true}}\nstudy:", 1, "tune.early_stopping", "which biases the effects of factors"),
    (CLAIM, "early_stopping: asha\nstudy:", 1, "early_stopping", "trials would be compared after few epochs"),
    (CLAIM, "search: {budget: 9}\nstudy:", 1, "search.budget", "did you mean 'trials'?"),
]  # fmt: skip
ADAPTIVE = [
    (CLAIM, "replicates: {min: 3}\nstudy:", 1, "replicates.max", "'max' is missing: maximum replicates of a cell"),
    (CLAIM, "replicates: {min: 1, max: 3, until: claims}\nstudy:", 1, "replicates.min", "must be 2 or more"),
    (CLAIM, "replicates: {min: 4, max: 4, until: claims}\nstudy:", 1, "replicates.max", "4: must be above min (4)"),
    (CLAIM, "replicates: {min: 3, max: 4, until: claim}\nstudy:", 1, "replicates.until", "must be 'claims'"),
    (CLAIM, "replicates: {min: 3, mux: 4}\nstudy:", 1, "replicates.mux", "did you mean 'max'?"),
    (CLAIM, "replicates: {min: 3, max: 4, until: claims}\nstudy:", 1, "replicates.until", "requires 'claims'"),
    (CLAIM, "replicates: many\nstudy:", 1, "replicates", "must be an integer"),
]


@pytest.fixture
def error_for(tmp_path: Path) -> Callable[[str | bytes], str]:
    """The error message for a grid given as text, without the folder of the file."""

    def make(text: str | bytes) -> str:
        path = tmp_path / "bad.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(StudyError) as caught:
            make_plan(load(path), Store(tmp_path / "store"))
        assert [file.name for file in tmp_path.iterdir()] == ["bad.yaml"]
        return str(caught.value).replace(f"{tmp_path}/", "")

    return make


def test_the_unchanged_grid_is_valid(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(TEXT)
    assert len(make_plan(load(tmp_path / "good.yaml"), Store(tmp_path)).trials) == 9


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [*PARTS, *BASELINES, *DATASETS, *FACTORS, *LEVELS, *EXCLUSIONS, *CLAIMS, *TUNING, *ADAPTIVE],
)
def test_a_mistake_is_reported_with_file_line_key_and_valid_values(
    error_for: Callable[[str | bytes], str], old: str, new: str, line: int, key: str, words: str
) -> None:
    assert old in TEXT
    lines = error_for(TEXT.replace(old, new, 1)).splitlines()
    assert any(message.startswith(f"bad.yaml:{line}: {key}") and words in message for message in lines)
    assert all(message.startswith("bad.yaml:") for message in lines)


@pytest.mark.parametrize("value", ["null", "[]", "{}", "3", "[1]"])
@pytest.mark.parametrize("key", ["study", "question", "baseline", "factors"])
def test_every_section_has_a_type(error_for: Callable[[str | bytes], str], key: str, value: str) -> None:
    parts = {
        "study": "x",
        "question": "x",
        "baseline": "{finetune: {dataset: digits}}",
        "factors": "{f: {levels: [1]}}",
    }
    lines = [f"{name}: {written}\n" for name, written in {**parts, key: value}.items()]
    assert error_for("".join(lines)).startswith(f"bad.yaml:{list(parts).index(key) + 1}: {key}")


def test_an_unknown_data_set_of_an_excluded_cell_does_not_matter(tmp_path: Path) -> None:
    lines = TEXT.partition("  width:\n")[0] + "  data: {path: finetune.dataset, levels: [unknown]}\n"
    (tmp_path / "grid.yaml").write_text(lines + "exclude: [{when: {data: unknown}, reason: not available}]\n")
    plan = make_plan(load(tmp_path / "grid.yaml"), Store(tmp_path))
    assert [item.size is None for item in plan.cells] == [False, False, True]
