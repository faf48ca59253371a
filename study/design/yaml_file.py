"""Reads a grid file: YAML as plain data, with the line of every key for error messages.

Values are text, numbers, booleans, null, lists, and mappings with text keys, by the core schema of YAML 1.2: unlike in
YAML 1.1, which PyYAML implements, `off` and `no` are text and `1e-3` is a number. Any other tag, a duplicate key, a
control character, and excessive expansion of aliases are errors.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from study.design.synonyms import meant_by
from study.utils.errors import StudyError

Keys = tuple[str | int, ...]  # a path in the document: mapping keys and list positions

MAX_BYTES = 200_000
MAX_VALUES = 100_000  # after expansion of aliases
MAX_DEPTH = 20


class GridError(StudyError):
    """A mistake in a grid file, at a key; `others` are further mistakes."""

    def __init__(self, message: str, keys: Keys, line: int, others: "Sequence[GridError]" = ()) -> None:
        super().__init__(message)
        self.keys, self.line, self.others = keys, line, others


@dataclass(frozen=True)
class GridFile:
    """A grid file: its plain data, the line of each key, and its text.

    The other fields describe what is missing in the valid rest of an invalid grid, see `valid_rest`.
    """

    path: Path
    data: dict[str, Any]
    lines: dict[Keys, int]
    text: str = field(repr=False)
    changed: frozenset[str] = frozenset()  # grid keys of which something was taken out
    factors: tuple[str, ...] = ()  # the names of all factors, of those taken out, too
    positions: Mapping[str, Sequence[int]] = field(default_factory=dict)  # of the items that a list had, by grid key

    def written(self, keys: Keys) -> Keys:
        """The keys of an item as they are in the file."""
        first, *rest = keys or ("",)
        if first not in self.positions or not rest:
            return keys
        return (first, self.positions[str(first)][int(rest[0])], *rest[1:])

    def line(self, keys: Keys) -> int:
        """The line of a key, or of its nearest parent if the key is not written."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def error(self, keys: Keys, message: str) -> GridError:
        """An error with file, line and key."""
        keys = self.written(keys)
        line = self.line(keys)
        place = f"{self.path}:{line}"
        return GridError(f"{place}: {_dotted(keys)}: {message}" if keys else f"{place}: {message}", keys, line)


@dataclass(frozen=True)
class Place:
    """A key in a grid file, for error messages; `place / "levels" / 2` is a key below it."""

    file: GridFile
    keys: Keys = ()

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.file, (*self.keys, key))

    @property
    def above(self) -> "Place":
        return Place(self.file, self.keys[:-1])

    @property
    def line(self) -> int:
        return self.file.line(self.file.written(self.keys))

    @property
    def name(self) -> str:
        """As in exclude[0]."""
        return _dotted(self.file.written(self.keys))

    def error(self, message: str, keys: Keys = ()) -> GridError:
        """An error at this place, or at the keys below it."""
        return self.file.error((*self.keys, *keys), message)


def read(path: Path) -> GridFile:
    """Read a grid file. Raises StudyError for a missing, unreadable, too large or invalid file."""
    return parse(_text(path), path)


def parse(text: str, path: Path) -> GridFile:
    """The grid file at `path` from its text; the path is only for messages. Raises StudyError if it is invalid."""
    lines: dict[Keys, int] = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = None if node is None else _plain(node, (), lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StudyError(f"{path}:{line}: not valid YAML: {_what(error.reason)} (U+{error.character:04X})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "quoted scalar" in str(error.context):  # from where it begins, since the end is the end of the file
            mark = error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = _what(", ".join(part for part in (error.context, error.problem) if part))
        hint = _yaml_hint(problem, text.splitlines()[max(0, line - 2) : line])
        raise StudyError(f"{path}:{line}: not valid YAML at column {column}: {problem}{hint}") from None
    except RecursionError:
        raise StudyError(f"{path}:1: not a grid: nested more than {MAX_DEPTH} deep") from None
    if not isinstance(data, dict):
        found = "nothing" if data is None else shown(data)
        raise StudyError(f"{path}:1: invalid grid: must be a YAML mapping (study: ..., baseline: ...), found {found}")
    return GridFile(path, data, lines, text)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)  # limited, as the file may be an endless device
        if len(data) > MAX_BYTES:
            raise StudyError(f"{path}: too large for a grid file: the limit is {MAX_BYTES:,} bytes")
        return data.decode("utf-8")
    except FileNotFoundError:
        raise StudyError(f"{path}: grid file not found{_grids_beside(path)}") from None
    except IsADirectoryError:
        raise StudyError(f"{path}: is a folder, not a grid file{_grids_beside(path / 'x')}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StudyError(f"{path}:{line}: not UTF-8 text (byte {error.start} of the file)") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot read file: {error.strerror}") from None


def _grids_beside(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("grids")
    found = sorted(str(file) for file in folder.glob("*.y*ml"))
    return f"; grid files in {folder}/: {', '.join(found)}" if found else ""


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the core schema of YAML 1.2; `_plain` builds the data, not its constructors."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's protocol


_TAG = "tag:yaml.org,2002:"
_NUMBER = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
for _name, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", [*"tTfF"]),
    ("null", r"^(?:~|null|Null|NULL|)$", [*"~nN", ""]),
    ("int", r"^[-+]?[0-9]+$", [*"-+0123456789"]),
    ("float", rf"^(?:{_NUMBER}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", [*"-+.0123456789"]),
):  # PyYAML looks up resolvers by the first character, "" for an empty scalar
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def _plain(node: yaml.Node, keys: Keys, lines: dict[Keys, int]) -> Any:
    """The data of a YAML node; records the line of every key below `keys`."""
    lines.setdefault(keys, node.start_mark.line + 1)
    if len(lines) > MAX_VALUES:
        raise _fault(node, f"more than {MAX_VALUES:,} values after expansion of aliases")
    if len(keys) > MAX_DEPTH:
        raise _fault(node, f"lists or mappings nested more than {MAX_DEPTH} deep")
    if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_plain(value, (*keys, position), lines) for position, value in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        return _mapping(node, keys, lines)
    raise _fault(node, f"unsupported tag {shown(node.tag.replace(_TAG, '!!'))}; use plain data")


def _mapping(node: yaml.MappingNode, keys: Keys, lines: dict[Keys, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or "\n" in key.value:
            raise _fault(key, "a key must be plain text on one line")
        if key.value == "<<":
            raise _fault(key, "merge key << is not supported (YAML 1.2); write the keys out")
        if key.value in found:
            raise _fault(key, f"duplicate key {_shortened(key.value)!r}")
        name = _checked(key)
        lines[(*keys, name)] = key.start_mark.line + 1
        found[name] = _plain(value, (*keys, name), lines)
    return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text, (convert, noun) = _checked(node), _SCALARS[node.tag]
    try:
        return convert(text)
    except (ValueError, KeyError):  # a wrong tag, or an integer with too many digits for Python
        raise _fault(node, f"invalid value {shown(text)}: must be {noun}") from None


_SCALARS: dict[str, tuple[Callable[[str], Any], str]] = {
    f"{_TAG}str": (str, "text"),
    f"{_TAG}int": (int, "an integer"),
    f"{_TAG}float": (lambda text: float(re.sub(r"\.(?=[a-zA-Z])", "", text)), "a number"),  # .inf, .nan
    f"{_TAG}bool": (lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
    f"{_TAG}null": (lambda text: None, "null"),
}

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # including surrogates, which cannot be encoded


def _checked(node: yaml.ScalarNode) -> str:
    text = str(node.value)
    if found := _CONTROL.search(text):
        raise _fault(node, f"control characters are not allowed (U+{ord(found[0]):04X})")
    return text


def _fault(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _what(problem: str) -> str:
    """PyYAML's message on one line, without control characters."""
    return _CONTROL.sub("?", " ".join(problem.split()))


_HINTS = {  # by a part of PyYAML's message
    "cannot start any token": "; indent with spaces, not with tabs, and quote text that begins with a special "
    "character",
    "mapping values are not allowed": "; quote text that contains ': ', or check the colon and the indentation of this "
    "line and the one before",
    "quoted scalar": "; a closing quote is missing",
    "expected <block end>": "; check the indentation, and the quotes if the line has any",
    "could not find expected ':'": "; a ':' followed by a space is missing",
    "another document": "; a grid file has one document: remove the line ---",
}


def _yaml_hint(problem: str, lines: list[str]) -> str:
    """What to check, for a message of PyYAML about the last of these lines."""
    if any("\N{NO-BREAK SPACE}" in line for line in lines):
        return "; replace the no-break spaces (U+00A0) by plain spaces"
    return next((hint for part, hint in _HINTS.items() if part in problem), "")


def _dotted(keys: Keys) -> str:
    """Keys as in factors.kv heads.levels[2]; positions count from 0."""
    first, *rest = keys
    return _shortened(str(first)) + "".join(f"[{k}]" if isinstance(k, int) else f".{_shortened(k)}" for k in rest)


def shown(value: object) -> str:
    """A value as written in a grid, shortened, for error messages."""
    return _shortened(json.dumps(value, ensure_ascii=False, default=str))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def did_you_mean(word: object, possible: Iterable[str]) -> str:
    """The end of an error message: the valid names, and the one closest to `word` if any is close."""
    names = list(possible)
    meant = closest(word, names)
    return f"did you mean {meant!r}? Possible: {', '.join(names)}" if meant else f"possible: {', '.join(names)}"


def closest(word: object, possible: Iterable[str]) -> str | None:
    """The valid name that was probably meant: a synonym of `word`, or one with a similar spelling."""
    names = list(possible)
    return meant_by(word, names) or next(iter(difflib.get_close_matches(str(word), names, n=1)), None)
