"""Reading grid files: plain data only, by the rules of YAML 1.2; every error has file and line."""

import json
import math
import os
import threading
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.design.yaml_file import MAX_BYTES, MAX_DEPTH, GridFile, did_you_mean, read, shown
from study.utils.errors import StudyError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "grid.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def error_of(folder: Path, text: str | bytes) -> str:
    with pytest.raises(StudyError) as caught:
        read(write(folder, text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-12", -12),
        ("+3", 3),
        ("010", 10),  # not octal
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e-3", 0.001),  # text for PyYAML
        ("1E5", 1e5),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("yes", "yes"),  # true in YAML 1.1
        ("off", "off"),
        ("n", "n"),
        ("null", None),
        ("~", None),
        ("", None),
        ("2024-01-31", "2024-01-31"),  # a date in YAML 1.1
        ("12:30:45", "12:30:45"),  # a sexagesimal number in YAML 1.1
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("! 5", 5),
        ("[1, [2, x]]", [1, [2, "x"]]),
        ("{a: 1}", {"a": 1}),
        ("{1: 2, null: 3}", {"1": 2, "null": 3}),  # keys are text
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    found = read(write(tmp_path, f"key: {text}\n")).data["key"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_number(tmp_path: Path) -> None:
    assert math.isnan(read(write(tmp_path, "key: .nan")).data["key"])


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2", 2, "expected ',' or ']'"),
        ("a: 1\n\tb: 2", 2, "cannot start any token"),
        ("a: 1\nb: 2\na: 3", 3, "duplicate key 'a'"),
        ('a: 1\n"a": 2', 2, "duplicate key 'a'"),
        ("a:\n  ? [x]\n  : 1", 2, "a key must be plain text"),
        ('"a\\nb": 1', 1, "a key must be plain text on one line"),
        ("a: &x {b: 1}\nc:\n  <<: *x", 3, "merge key << "),
        ("a: 1\nb: *nowhere", 2, "undefined alias 'nowhere'"),
        ("a: 1\n---\nb: 2", 2, "single document"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "!!python/object/apply:os.system"),
        ("a: !!set {x}", 1, "!!set"),
        ("a: !!timestamp 2024-01-31", 1, "!!timestamp"),
        ("a: !!binary aGk=", 1, "!!binary"),
        ("a: !own x", 1, "!own"),
        ("a: !!int many", 1, "must be an integer"),
        ("a: !!bool off", 1, "true or false"),
        (f"a: 1\nb: {'9' * 5000}", 2, "must be an integer"),  # exceeds the limit of int()
        ("a: 1\nb: \x07", 2, "U+0007"),
        ('a: 1\nb: "\\e[31m"', 2, "U+001B"),  # a terminal escape sequence
        ('"\\0": 1', 1, "U+0000"),
        ('a: "\\ud800"', 1, "U+D800"),  # cannot be encoded
        ("a: &x [*x, *x]", 1, f"more than {MAX_DEPTH} deep"),
        (f"a: {'[' * 100}{']' * 100}", 1, f"more than {MAX_DEPTH} deep"),
        (f"a: {'[' * 5000}", 1, f"more than {MAX_DEPTH} deep"),
        ("", 1, "found nothing"),
        ("# a comment", 1, "found nothing"),
        ("- a\n- b", 1, 'found ["a", "b"]'),
        ("hello", 1, 'found "hello"'),
        (b"a: 1\nb: \xe9", 2, "not UTF-8 text (byte 8"),
        (b"\xff\xfea\x00", 1, "not UTF-8 text"),
    ],
)
def test_invalid_files_are_reported_with_the_line(tmp_path: Path, text: str | bytes, line: int, words: str) -> None:
    message = error_of(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'grid.yaml'}:{line}: ")
    assert words in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("as_key", [False, True])
def test_exponential_aliases_are_rejected_quickly(tmp_path: Path, as_key: bool) -> None:
    """The "billion laughs": ten lines that expand to 10^10 values."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    message = error_of(tmp_path, "\n".join([*lines, "? *a9\n: 1"] if as_key else lines))
    assert "after expansion of aliases" in message


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="grid file not found"):
        read(tmp_path / "nowhere.yaml")
    with pytest.raises(StudyError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(StudyError, match="cannot read file: Not a directory"):
        read(write(tmp_path, "a: 1") / "inside")
    with pytest.raises(StudyError, match="cannot read file: File name too long"):
        read(tmp_path / ("x" * 300))
    assert f"the limit is {MAX_BYTES:,} bytes" in error_of(tmp_path, "#" * (MAX_BYTES + 1))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_an_endless_device_is_not_read_to_its_end() -> None:
    with pytest.raises(StudyError, match="too large for a grid file"):
        read(Path("/dev/zero"))


def test_a_grid_may_be_a_pipe(tmp_path: Path) -> None:
    """As with `study plan <(generate)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a: 1\n",))
    writer.start()
    assert read(pipe).data == {"a": 1}
    writer.join()


def test_a_missing_grid_lists_those_in_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "a: 1")
    with pytest.raises(StudyError, match=r"grid file not found; grid files in .*grid\.yaml"):
        read(tmp_path / "gird.yaml")


def test_lines_of_keys_or_their_nearest_parent(tmp_path: Path) -> None:
    grid = read(write(tmp_path, "a:\n  b: 1\n  c:\n    - x\n    - y: 2\nd: &d\n  e: 1\nf: *d\n"))
    assert grid.data == {"a": {"b": 1, "c": ["x", {"y": 2}]}, "d": {"e": 1}, "f": {"e": 1}}
    assert grid.line(("a", "b")) == 2
    assert grid.line(("a", "c", 1, "y")) == 5
    assert grid.line(("a", "c", 7)) == 3
    assert grid.line(("a", "missing")) == 1
    assert grid.line(("nowhere",)) == 1
    assert grid.line(("f", "e")) == 7  # where it is written
    assert str(grid.error(("a", "c", 1), "wrong")) == f"{grid.path}:5: a.c[1]: wrong"
    assert str(grid.error((), "wrong")) == f"{grid.path}:1: wrong"


def test_byte_order_marks_and_windows_line_ends(tmp_path: Path) -> None:
    grid = read(write(tmp_path, "\ufeffa: 1\r\nb: 2\r\n"))
    assert grid.data == {"a": 1, "b": 2}
    assert grid.line(("b",)) == 2


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
keys = texts.filter(lambda key: key != "<<")
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(keys, data, max_size=5), st.sampled_from([None, 1]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_plain_data_survive_being_written_and_read(
    tmp_path: Path, value: dict[str, object], indent: int | None
) -> None:
    """JSON is YAML: whatever it can write is read back, with its types."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    found = read(write(tmp_path, text)).data
    assert json.dumps(found) == json.dumps(value)


@given(st.dictionaries(keys, data, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_key_has_its_line(tmp_path: Path, value: dict[str, object]) -> None:
    text = "".join(f"{json.dumps(key, ensure_ascii=False)}: 1\n" for key in value)
    if value:
        grid = read(write(tmp_path, text))
        assert [grid.line((key,)) for key in value] == list(range(1, len(value) + 1))


@given(st.text(max_size=60) | st.binary(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_noise_is_a_grid_file_or_an_error_of_ours(tmp_path: Path, text: str | bytes) -> None:
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    try:
        assert isinstance(read(write(tmp_path, text)), GridFile)
    except StudyError as error:
        assert not {unicodedata.category(c) for c in str(error)} & {"Cc", "Cs"}  # noqa: PT017 - either outcome is right


def test_the_grid_loader_does_not_change_pyyaml() -> None:
    """Its YAML rules apply to grid files only; PyYAML's own loaders keep theirs."""
    assert yaml.safe_load("off") is False


def test_values_are_shown_in_yaml_syntax() -> None:
    assert [shown(v) for v in (True, None, "a", 1e-3, [1, "é"])] == ["true", "null", '"a"', "0.001", '[1, "é"]']
    assert len(shown("x" * 1000)) == 80


def test_suggestions_list_the_closest_and_all_names() -> None:
    assert did_you_mean("widht", ["depth", "width"]) == "did you mean 'width'? Possible: depth, width"
    assert did_you_mean("zzz", ["depth", "width"]) == "possible: depth, width"
