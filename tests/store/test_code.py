"""The code that a result depends on: which files belong to it, and which changes count."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.tiny_grid import ONE_REPLICATE

from study.design.stages import stages_of
from study.design.study import expand, load
from study.store import code
from study.store.code import EXCLUDED, ONLY_FOR, Code, present_code
from study.store.results import Store
from study.utils.source_code import content_digest

WITHOUT_INFLUENCE = {  # imported by training; they find, check and store stages, and compute no number of a result
    "study/__init__.py": "the Python API",
    "study/design/": "reads grids: workers get complete settings",
    "study/execution/__init__.py": "imports",
    "study/execution/machine.py": "provenance",
    "study/store/": "stores results",
    "study/utils/__init__.py": "imports nothing",
    "study/utils/frozen_model.py": "checks settings, and changes none",
    "study/utils/json_text.py": "reads records",
    "study/utils/npz.py": "writes predictions",
    "study/utils/regular_files.py": "reads files as they are",
    "study/utils/telemetry.py": "switches off reports on use",
    **dict.fromkeys(
        (
            *("study/utils/canonical_json.py", "study/utils/provenance.py", "study/utils/source_code.py"),
            *("study/utils/records.py", "study/utils/version.py"),
        ),
        "keys and provenance",
    ),
    **dict.fromkeys(
        (
            *("study/utils/command_line.py", "study/utils/errors.py", "study/utils/formats.py", "study/utils/paths.py"),
            *("study/utils/escape.py", "study/utils/redact.py", "study/utils/text.py"),
        ),
        "messages",
    ),
}
TEXTS = {"study/vit/data/reading.py"}  # a result has the sentence on its data
TRAIN = """
import json, sys, threading
from pathlib import Path
from study.design.stages import Stage
from study.execution.run_stage import run_stage
from study.store.results import Store

root, called = Path(sys.argv[1]), set()
def note(frame, event, argument):
    if event == "call" and frame.f_code.co_name != "<module>":
        called.add(frame.f_code.co_filename)
*before, last = [Stage.from_spec(spec) for spec in json.loads(sys.argv[2])]
store = Store(sys.argv[3])
for stage in before:
    run_stage(stage, store, "cpu", lambda row: None)
threading.setprofile(note)
sys.setprofile(note)
run_stage(last, store, "cpu", lambda row: None)
sys.setprofile(None)
files = {module.__file__ for name, module in list(sys.modules.items()) if name.partition(".")[0] == "study"}
def names(paths):
    return sorted(Path(path).relative_to(root).as_posix() for path in paths if Path(path).is_relative_to(root))
print(json.dumps({"called": names(called), "imported": names(files)}))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """The files that training imports, and those with a function that it calls, in a fresh process for each kind."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(ONE_REPLICATE)
    trials = {trial.cell.name: stages_of(trial) for trial in expand(load(folder / "tiny.yaml"))}
    pretrain, finetune = trials["baseline"]
    stages = {"pretrain": [pretrain], "finetune": [pretrain, finetune], "probe": trials["mode=probe"]}
    return {name: _files_of([stage.spec() for stage in given], folder / name) for name, given in stages.items()}


def _files_of(specs: list[object], store: Path) -> dict[str, list[str]]:
    command = [sys.executable, "-c", TRAIN, str(ROOT), json.dumps(specs), str(store)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, list[str]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_everything_that_training_imports_is_part_of_the_code(trained: dict[str, dict[str, list[str]]]) -> None:
    known = (*present_code().files, *WITHOUT_INFLUENCE, *EXCLUDED)
    for files in trained.values():
        assert [name for name in files["imported"] if not name.startswith(known)] == []
    for name in WITHOUT_INFLUENCE:  # none is left over
        assert any(file.startswith(name) for files in trained.values() for file in files["imported"]), name


def test_training_calls_no_function_of_an_excluded_file(trained: dict[str, dict[str, list[str]]]) -> None:
    for name, files in trained.items():
        assert {file for file in files["called"] if file.startswith(EXCLUDED)} <= TEXTS
        kind = "pretrain" if name == "pretrain" else "finetune"
        others = {file for only, its in ONLY_FOR.items() if only != kind for file in its}
        assert others & set(files["called"]) == set(), name
        assert "study/vit/models/vit.py" in files["called"]


def test_files_that_are_named_exist() -> None:
    named = [*code.INCLUDED, *EXCLUDED, *(name for names in ONLY_FOR.values() for name in names)]
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert {name for names in ONLY_FOR.values() for name in names} <= present_code().files.keys()


# --- which changes count ---

SOURCE = 'def f(x):\n    """Doc."""\n    # a comment\n    return x * 2\n'


@cache
def digest_of(text: str, folder: Path, name: str = "file.py") -> str:
    path = folder / name
    path.write_text(text)
    return content_digest(path)


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        (SOURCE.replace("Doc.", "Other."), False),
        (SOURCE.replace('    """Doc."""\n', ""), False),
        (SOURCE.replace("a comment", "another"), False),
        (SOURCE.replace("x * 2", "(x\n        * 2)"), False),
        (SOURCE.replace("\n", "\r\n"), False),
        (SOURCE.replace("x * 2", "x * 0"), True),
        (SOURCE.replace("x * 2", "x * 2.0"), True),
        (SOURCE.replace("return x * 2", "return '''Doc.'''"), True),
        (SOURCE + "f(1)\n", True),
        (SOURCE.replace("return", "retrun"), True),
        ("", True),
    ],
)
def test_only_what_is_executed_counts(tmp_path: Path, changed: str, counts: bool) -> None:
    assert (digest_of(changed, tmp_path) != digest_of(SOURCE, tmp_path)) == counts


def test_every_byte_of_other_files_counts(tmp_path: Path) -> None:
    assert digest_of("a,b\n", tmp_path, "table.csv") != digest_of("a,b \n", tmp_path, "table.csv")


def test_files_of_the_other_kind_of_stage_do_not_count() -> None:
    one, other = (Code({"study/vit/models/vit.py": "a", "study/vit/models/mae.py": digit}) for digit in "12")
    assert one.digest != other.digest
    assert one.differing(other, "pretrain") == ["study/vit/models/mae.py"]
    assert one.differing(other, "finetune") == []
    assert one.differing(Code({}), "finetune") == ["study/vit/models/vit.py"]  # also a file that is new or gone


@pytest.mark.parametrize(
    "name",
    [
        *("study/vit/data/reading.py", "study/vit/data/conversion.py", "study/vit/data/converters/idx.py"),
        *("study/vit/models/.vit.py.swp", "study/vit/models/._vit.py", "study/vit/models/.copies/vit.py"),
        *("study/vit/models/vit.py.orig", "study/vit/models/notes.txt", "study/report/sections.py"),
    ],
)
def test_other_files_do_not_count(name: str) -> None:
    """Texts, converters and reports; what editors and file systems leave beside the modules. Recorded ones neither."""
    assert name not in present_code().files
    assert not code.counts(name)
    assert Code({name: "a"}).differing(Code({}), "finetune") == []


def test_new_modules_count_wherever_they_are() -> None:
    for name in ("study/vit/new.py", "study/vit/data/deep/er.py", "study/execution/run_stage.py"):
        assert code.counts(name)
    assert present_code().files
    assert all(map(code.counts, present_code().files))


# --- the record in the store ---


def test_the_files_of_a_digest_are_read_back_and_a_damaged_record_is_written_again(tmp_path: Path) -> None:
    store, made = Store(tmp_path), Code({"study/vit/models/vit.py": "a"})
    assert code.read(store, made.digest) is None
    code.record(store, made)
    assert code.read(store, made.digest) == made
    path = tmp_path / "code" / f"{made.digest}.json"
    for damaged in ("", "[]", "{}", "null", '{"study/vit/models/vit.py": "b"}'):
        path.write_text(damaged)
        assert code.read(store, made.digest) is None
    code.record(store, made)
    assert code.read(store, made.digest) == made
