"""Finished stages, one folder each, named by key and whole or absent: the truth that everything else mirrors.

    STORE/pretrain/KEY/   stage.json     what was asked for: the stage's identity and its whole settings
    STORE/finetune/KEY/   result.json    metrics, facts about the model, history per epoch, expert load, provenance
                          model.safetensors, config.json
                          checksums.json SHA-256 of every other file
    STORE/device/KEY.json what its model costs on a device (see `study.store.measurements`)
    STORE/failed/KEY.json the last error of a stage that has no result yet
    STORE/tuning/KEY.json how far the tuning of a cell has come (see `study.planning.tuning_state`)
    STORE/unfinished/KEY  the latest checkpoint of a long stage that has no result yet, led by its SHA-256

How a folder becomes whole is the storage's business (`study.store.backends`). A failure is a note for the report, never
an answer: the stage is tried again.
"""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from study.design.stages import Stage
from study.store.backends import Folder, open_storage
from study.utils.canonical_json import canonical_json
from study.utils.errors import StudyError
from study.utils.redact import masked
from study.vit.subject import STAGE_KINDS

WEIGHTS = "model.safetensors"
CHECKSUMS = "checksums.json"
STALE = 3600.0  # seconds after which what is half-written is taken for abandoned


@dataclass(frozen=True)
class Result:
    """What a stage leaves behind, weights aside."""

    metrics: Mapping[str, float]
    facts: Mapping[str, float | int]  # params, params_active, macs, macs_active
    history: list[dict[str, float]]  # one row per epoch
    expert_load: list[list[float]]  # per block, each expert's share of the routed tokens
    provenance: Mapping[str, Any] = field(default_factory=dict)  # commit, versions, device, host, times


@dataclass(frozen=True)
class Unfinished:
    """What is kept of a stage that was not finished: None where there is nothing, or nothing whole, as `note` says."""

    data: bytes | None = None
    note: str = ""


@dataclass(frozen=True)
class Failure:
    """What is noted of a stage that could not be finished."""

    error: str
    name: str = ""  # of the note; none where it is damaged, or from before notes had names


class CorruptError(StudyError):
    """A stored stage whose files are not what was written, or not what is asked for now; `reason` says why alone."""

    def __init__(self, place: str, reason: str) -> None:
        self.reason = f"{place}: {reason}"
        super().__init__(
            f"stored stage {place} cannot be used: {reason}; "
            "to compute it again: python -m study run GRID --recompute-damaged"
        )


class StoreError(StudyError):
    """The store cannot be reached, read or written; what was to be stored is not."""


class Store:
    """Finished stages in a folder, or at an address such as s3://BUCKET/NAME."""

    def __init__(self, place: Path | str) -> None:
        self.storage = open_storage(place)

    @property
    def address(self) -> str:
        """What names this store on every machine that sees it."""
        return self.storage.address

    @property
    def root(self) -> Path:
        """The store's folder; for an address a folder of this machine, for files that must be this machine's."""
        return self.storage.local

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder, so that files can be appended to and databases kept in it."""
        return isinstance(self.storage, Folder)

    def __str__(self) -> str:
        return self.storage.place_of("").rstrip("/")

    def prepare(self) -> None:
        """Make sure that results can be written. Raises StoreError where they cannot."""
        with self._said("written"):
            self.storage.prepare()

    def has(self, stage: Stage) -> bool:
        """Whether a result is stored; it is read and checked by `find`. Raises StoreError."""
        with self._said("read"):
            return self.storage.has_folder(_path(stage))

    def keys(self) -> frozenset[str]:
        """The keys of all stages that have a result. Raises StoreError where the store cannot be looked at."""
        with self._said("read"):
            return frozenset(name for kind in STAGE_KINDS for name in self.storage.folders(kind))

    def find(self, stage: Stage) -> Result | None:
        """The stored result, None where there is none. Raises CorruptError if it is damaged or not this stage's."""
        files = self._read(stage, "stage.json", "result.json")
        if files is None:
            return None
        stored = self._json(stage, "stage.json", files)
        if canonical_json(stored.get("identity")) != canonical_json(stage.identity):
            raise self._corrupt(stage, "stage.json describes another stage")
        if change := _first_change(stored.get("spec"), stage.spec()):
            raise self._corrupt(stage, f"a default has changed since it was computed ({change})")
        try:
            return Result(**self._json(stage, "result.json", files))
        except TypeError:  # fields of another version of this code
            raise self._corrupt(stage, "result.json has other fields than this version writes") from None

    def weights(self, stage: Stage) -> bytes:
        """The stored weights, their checksum verified. Raises CorruptError, also where there are none."""
        files = self._read(stage, WEIGHTS)
        if files is None:
            raise self._corrupt(stage, f"{WEIGHTS} is missing")
        return files[WEIGHTS]

    def check(self, stage: Stage) -> None:
        """Read every file of a stored stage against its checksum. Raises CorruptError."""
        self._read(stage, "stage.json", "result.json", "config.json", WEIGHTS)

    @contextlib.contextmanager
    def folder(self, stage: Stage) -> Iterator[Path]:
        """The files of a stored stage in a folder of this machine, for as long as the context lasts."""
        with self.storage.as_local(_path(stage)) as folder:
            yield folder

    def paths_of(self, beginning: str) -> list[str]:
        """Where the stages lie whose keys begin so, fine-tunings first: `finetune/KEY`. Raises StoreError."""
        with self._said("read"):
            listed = {kind: self.storage.folders(kind) for kind in sorted(STAGE_KINDS)}
        return [f"{kind}/{key}" for kind, keys in listed.items() for key in sorted(keys) if key.startswith(beginning)]

    @contextlib.contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """A stored stage's folder by its path in the store, on this machine for as long as the context lasts."""
        with self.storage.as_local(path) as folder:
            yield folder

    def save(self, stage: Stage, result: Result, weights: bytes, config: Mapping[str, Any]) -> None:
        """Write a finished stage. Of two writers of one key the first one's result stays. Raises StoreError."""
        files = {
            "stage.json": _json({"identity": stage.identity, "spec": stage.spec()}),
            "result.json": _json(asdict(result)),
            "config.json": _json(config),
            WEIGHTS: weights,
        }
        files[CHECKSUMS] = _json({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        with self._said("written"):
            self.storage.write_folder(_path(stage), files)
            self.storage.remove(_note(stage))
        self.drop_unfinished(stage)

    def discard(self, stage: Stage) -> None:
        """Remove a stored stage, so that it is computed again. Raises StoreError."""
        with self._said("written"):
            self.storage.remove_folder(_path(stage))

    def fail(self, stage: Stage, error: str) -> str:
        """Note the error of a stage that could not be finished, in place of an earlier one. Returns the note's name,
        which no other has. Raises StoreError."""
        name = uuid.uuid4().hex
        with self._said("written"):
            self.storage.write(_note(stage), _json({"name": name, "spec": stage.spec(), "error": masked(error)}))
        return name

    def failure(self, stage: Stage) -> str | None:
        """The last error of a stage without a result, also of one whose note is damaged. Raises StoreError."""
        found = self.last_failure(stage)
        return found.error if found else None

    def last_failure(self, stage: Stage) -> Failure | None:
        """The same with its name. Raises StoreError."""
        try:
            with self._said("read"):
                note = _mapping(self.storage.read(_note(stage)))
            return Failure(str(note["error"]), str(note.get("name", "")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError) as error:
            return Failure(f"its note {self.storage.place_of(_note(stage))} cannot be read ({error})")

    def keep_unfinished(self, stage: Stage, data: bytes) -> None:
        """Put the state of a stage aside, in place of an earlier one. Raises OSError."""
        self.storage.write(_checkpoint(stage), _digest_line(data) + data)

    def unfinished(self, stage: Stage) -> Unfinished:
        """The state that was put aside; one whose checksum is wrong is removed, never given."""
        try:
            digest, newline, data = self.storage.read(_checkpoint(stage)).partition(b"\n")
        except FileNotFoundError:
            return Unfinished()
        except OSError as error:
            return Unfinished(note=f"a checkpoint could not be read: {error.strerror}")
        if digest + newline == _digest_line(data):
            return Unfinished(data)
        self.drop_unfinished(stage)
        return Unfinished(note="a checkpoint was dropped: it does not have the checksum it was written with")

    def drop_unfinished(self, stage: Stage) -> None:
        """Remove the state that was put aside, where that is possible: it is never in the way."""
        with contextlib.suppress(OSError):
            self.storage.remove(_checkpoint(stage))

    def failed_at(self, stage: Stage) -> float | None:
        """When the stage's failure was noted, in the store's own time; None where none is. Raises StoreError."""
        with self._said("read"):
            return self.storage.written(_note(stage))

    def sweep(self, keep: Iterable[str], age: float = STALE) -> int:
        """Remove what killed writers left half-written more than `age` seconds ago, and checkpoints of stages that are
        stored by now, save for the keys in `keep`. Returns how many were removed. Raises StoreError."""
        kept = set(keep)
        ended = self.keys() - kept
        with self._said("written"):
            folders = (*STAGE_KINDS, "failed", "unfinished")
            swept = sum(self.storage.sweep(folder, kept, age, ended) for folder in folders)
            for key in ended & self.storage.listed("unfinished").keys():
                self.storage.remove(f"unfinished/{key}")
                swept += 1
        return swept

    # Files of other parts (leases, deliveries) beside the stages; all raise StoreError.

    def note(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        with self._said("written"):
            self.storage.write(path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file unless there is one; of several writers one gets True."""
        with self._said("written"):
            return self.storage.create(path, data)

    def noted(self, path: str) -> bytes | None:
        """A file's bytes, None where there is none."""
        with contextlib.suppress(FileNotFoundError), self._said("read"):
            return self.storage.read(path)
        return None

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        with self._said("written"):
            self.storage.remove(path)

    def listed(self, folder: str) -> dict[str, float]:
        """A folder's files, and when each was written in the store's own time."""
        with self._said("read"):
            return self.storage.listed(folder)

    def _read(self, stage: Stage, *names: str) -> dict[str, bytes] | None:
        """Files of a stored stage, their checksums verified."""
        with self._said("read"):
            files = self.storage.read_folder(_path(stage), [CHECKSUMS, *names])
        if files is None:
            return None
        checksums = self._json(stage, CHECKSUMS, files)
        for name in names:
            if name not in files:
                raise self._corrupt(stage, f"{name} is missing")
            if hashlib.sha256(files[name]).hexdigest() != checksums.get(name):
                raise self._corrupt(stage, f"{name} does not have the checksum it was written with")
        return files

    def _json(self, stage: Stage, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        if name not in files:
            raise self._corrupt(stage, f"{name} is missing")
        try:
            return _mapping(files[name])
        except ValueError as error:
            raise self._corrupt(stage, f"{name} cannot be read ({error})") from None

    def _corrupt(self, stage: Stage, what: str) -> CorruptError:
        return CorruptError(self.storage.place_of(_path(stage)), what)

    @contextlib.contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        """Trouble with the storage as one message; a file that is not there is the caller's business."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            ways = {"read": "", "written": "free the disk or put its permissions right, or "}
            raise StoreError(
                f"the store {self} cannot be {doing}: {error.strerror or error}; "
                f"{ways[doing]}name another store with --store"
            ) from None


def _path(stage: Stage) -> str:
    return f"{stage.kind}/{stage.key}"


def _checkpoint(stage: Stage) -> str:
    return f"unfinished/{stage.key}"


def _note(stage: Stage) -> str:
    return f"failed/{stage.key}.json"


def _mapping(data: bytes) -> dict[str, Any]:
    """Raises ValueError for what is no JSON mapping."""
    found = json.loads(data.decode())
    if not isinstance(found, dict):
        raise ValueError("it does not hold a mapping")
    return found


def _first_change(stored: Any, present: Any, path: str = "") -> str | None:
    """Where a stored setting differs from the present one; a setting that was not known then does not count."""
    if not isinstance(stored, dict) or not isinstance(present, dict):
        return None if stored == present else f"{path[1:]} was {stored!r}, is {present!r}"
    changes = (_first_change(stored[name], present.get(name), f"{path}.{name}") for name in stored)
    return next((change for change in changes if change), None)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _digest_line(data: bytes) -> bytes:
    return f"{hashlib.sha256(data).hexdigest()}\n".encode()
