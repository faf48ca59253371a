"""Reads a grid file: YAML as plain data, keeping the line of every key so that an error can point at it.

Only text, numbers, true and false, null, lists, and mappings with text as keys come out, by the rules of YAML 1.2's
core schema: `off` and `no` are text and `1e-3` is a number, other than in YAML 1.1, which PyYAML reads. Every other
tag is an error, and so are a key written twice, control characters, and a file that its aliases blow up.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from study.utils.errors import StudyError

Keys = tuple[str | int, ...]  # where in the document: mapping keys and list positions

MAX_BYTES = 200_000
MAX_VALUES = 100_000  # after aliases are followed
MAX_DEPTH = 20


@dataclass(frozen=True)
class GridFile:
    """A grid file as read: plain data, the line on which each of its keys stands, and its whole text."""

    path: Path
    data: dict[str, Any]
    lines: dict[Keys, int]
    text: str = field(repr=False)

    def line(self, keys: Keys) -> int:
        """The line of a key; of its nearest parent where the key itself is not written."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def error(self, keys: Keys, message: str) -> StudyError:
        """An error that names file, line and key."""
        place = f"{self.path}:{self.line(keys)}"
        return StudyError(f"{place}: {_dotted(keys)}: {message}" if keys else f"{place}: {message}")


@dataclass(frozen=True)
class Place:
    """A key in a grid file, for errors to point at; `place / "levels" / 2` is one further in."""

    file: GridFile
    keys: Keys = ()

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.file, (*self.keys, key))

    @property
    def above(self) -> "Place":
        return Place(self.file, self.keys[:-1])

    @property
    def line(self) -> int:
        return self.file.line(self.keys)

    @property
    def name(self) -> str:
        """As in exclude[0]."""
        return _dotted(self.keys)

    def error(self, message: str, keys: Keys = ()) -> StudyError:
        """An error at this place, or at the keys below it."""
        return self.file.error((*self.keys, *keys), message)


def read(path: Path) -> GridFile:
    """Read a grid file. Raises StudyError for a file that is missing, unreadable, too large, or not a YAML mapping."""
    text = _text(path)
    lines: dict[Keys, int] = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = None if node is None else _plain(node, (), lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StudyError(f"{path}:{line}: not valid YAML: {_what(error.reason)} (U+{error.character:04X})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = _what(", ".join(part for part in (error.context, error.problem) if part))
        raise StudyError(f"{path}:{line}: not valid YAML at column {column}: {problem}") from None
    except RecursionError:
        raise StudyError(f"{path}:1: not a grid: lists within lists, more than {MAX_DEPTH} deep") from None
    if not isinstance(data, dict):
        found = "nothing" if data is None else shown(data)
        raise StudyError(f"{path}:1: a grid is a YAML mapping (study: ..., baseline: ...), but this file holds {found}")
    return GridFile(path, data, lines, text)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # never more: it may be a device without end
        if len(data) > MAX_BYTES:
            raise StudyError(f"{path}: larger than {MAX_BYTES:,} bytes; a grid file is a short YAML text")
        return data.decode("utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such grid file{_grids_beside(path)}") from None
    except IsADirectoryError:
        raise StudyError(f"{path}: is a folder; name one grid file{_grids_beside(path / 'x')}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StudyError(f"{path}:{line}: not UTF-8 text (byte {error.start} of the file)") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from None


def _grids_beside(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("grids")
    found = sorted(str(file) for file in folder.glob("*.y*ml"))
    return f"; {folder}/ has {', '.join(found)}" if found else ""


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the core schema of YAML 1.2; the data are built by `_plain`, not by its constructors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own protocol


_TAG = "tag:yaml.org,2002:"
_NUMBER = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
for _name, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", [*"tTfF"]),
    ("null", r"^(?:~|null|Null|NULL|)$", [*"~nN", ""]),
    ("int", r"^[-+]?[0-9]+$", [*"-+0123456789"]),
    ("float", rf"^(?:{_NUMBER}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", [*"-+.0123456789"]),
):  # PyYAML looks a scalar up by its first character, an empty one by the empty text
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def _plain(node: yaml.Node, keys: Keys, lines: dict[Keys, int]) -> Any:
    """The data of a YAML node; notes the line of every key below `keys` on the way."""
    lines.setdefault(keys, node.start_mark.line + 1)
    if len(lines) > MAX_VALUES:
        raise _fault(node, f"more than {MAX_VALUES:,} values, aliases followed")
    if len(keys) > MAX_DEPTH:
        raise _fault(node, f"lists or mappings within each other, more than {MAX_DEPTH} deep")
    if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_plain(value, (*keys, position), lines) for position, value in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _mapping(node, keys, lines)
    raise _fault(node, f"the tag {shown(node.tag.replace(_TAG, '!!'))} has no meaning here; write plain data")


def _mapping(node: yaml.MappingNode, keys: Keys, lines: dict[Keys, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or "\n" in key.value:
            raise _fault(key, "a key must be plain text on one line")
        if key.value == "<<":
            raise _fault(key, "merging with << is not part of YAML 1.2; write the keys out")
        if key.value in found:
            raise _fault(key, f"key {_shortened(key.value)!r} is written twice")
        name = _checked(key)
        lines[(*keys, name)] = key.start_mark.line + 1
        found[name] = _plain(value, (*keys, name), lines)
    return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text, (convert, noun) = _checked(node), _SCALARS[node.tag]
    try:
        return convert(text)
    except (ValueError, KeyError):  # tagged as what it is not, or a number of thousands of digits
        raise _fault(node, f"{shown(text)} cannot be read as {noun}") from None


_SCALARS: dict[str, tuple[Callable[[str], Any], str]] = {
    f"{_TAG}str": (str, "text"),
    f"{_TAG}int": (int, "a whole number"),
    f"{_TAG}float": (lambda text: float(re.sub(r"\.(?=[a-zA-Z])", "", text)), "a number"),  # .inf, .nan
    f"{_TAG}bool": (lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
    f"{_TAG}null": (lambda text: None, "null"),
}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # surrogates too: they cannot be written out


def _checked(node: yaml.ScalarNode) -> str:
    text = str(node.value)
    if found := _CONTROL.search(text):
        raise _fault(node, f"control characters are not allowed (U+{ord(found[0]):04X})")
    return text


def _fault(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _what(problem: str) -> str:
    """PyYAML's wording on one line, without characters a terminal would act on."""
    return _CONTROL.sub("?", " ".join(problem.split()))


def _dotted(keys: Keys) -> str:
    """Keys as in factors.kv heads.levels[2]; positions count from 0."""
    first, *rest = keys
    return _shortened(str(first)) + "".join(f"[{k}]" if isinstance(k, int) else f".{_shortened(k)}" for k in rest)


def shown(value: object) -> str:
    """A value as one would write it in a grid, shortened where it is long: for error messages."""
    return _shortened(json.dumps(value, ensure_ascii=False, default=str))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def did_you_mean(word: object, possible: Iterable[str]) -> str:
    """What was possible instead of `word`, nearest first in mind: for the end of an error message."""
    names = list(possible)
    close = difflib.get_close_matches(str(word), names, n=1)
    return f"did you mean {close[0]!r}? Possible: {', '.join(names)}" if close else f"possible: {', '.join(names)}"
