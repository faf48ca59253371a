"""The store: finished stages by key, each complete and verified, or absent. MLflow and reports are derived from it.

    STORE/pretrain/KEY/   stage.json     the stage's identity and its full settings
    STORE/finetune/KEY/   result.json    metrics, model facts, history per epoch, expert load, provenance
                          model.safetensors, config.json
                          predictions.npz the predicted class of every test image (fine-tuning; none in older stores)
                          checksums.json SHA-256 of every other file
    STORE/device/KEY.json size and latency of the exported model (see `study.store.exported_models`)
    STORE/failed/KEY.json the last error of a stage without a result
    STORE/code/DIGEST.json files of the code that computed results (see `study.store.code`)
    STORE/tuning/KEY.json state of a cell's tuning (see `study.planning.tuning_state`)
    STORE/unfinished/KEY  the latest checkpoint of a running or interrupted stage, preceded by its SHA-256

How a folder is written atomically is up to the backend (`study.store.backends`). A recorded failure is only for the
report: the next run retries the stage.
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
from study.store.backends import Folder, Usage, open_storage
from study.store.predictions import Predictions, decode, encode
from study.utils import json_text
from study.utils.canonical_json import canonical_json
from study.utils.errors import Advice, StudyError
from study.utils.records import from_record, is_newer
from study.utils.redact import masked
from study.utils.version import __version__
from study.vit.subject import STAGE_KINDS

WEIGHTS = "model.safetensors"
PREDICTIONS = "predictions.npz"
CHECKSUMS = "checksums.json"
PARTS = (
    *sorted(STAGE_KINDS),
    "tuning",
    "failed",
    "unfinished",
    "leases",
    "device",
    "tracking",
    "studies",
    "runs",
    "claims",
)  # folders of a store
RECOMPUTE = Advice("to recompute it", "run", ("--recompute-damaged",))
ABANDONED_AFTER = 3600.0  # seconds without a change, after which a partial write counts as abandoned


@dataclass(frozen=True)
class Result:
    """The result of a stage, without its weights."""

    metrics: Mapping[str, float]
    facts: Mapping[str, float | int]  # params, params_active, macs, macs_active
    history: list[dict[str, float]]  # one row per epoch
    expert_load: list[list[float]]  # per block, each expert's share of the routed tokens
    provenance: Mapping[str, Any] = field(default_factory=dict)  # commit, code, versions, device, times


@dataclass(frozen=True)
class StoredCheckpoint:
    """The checkpoint of an unfinished stage. `data` is None where there is none, or none that can be used: then
    `problem` is the reason."""

    data: bytes | None = None
    problem: str = ""


@dataclass(frozen=True)
class Failure:
    """The recorded failure of a stage."""

    error: str
    id: str = ""  # unique; empty where the record is damaged, or was written before records had ids
    provenance: Mapping[str, Any] = field(default_factory=dict)  # as of a result; without a machine if it was lost
    certain: bool = False  # whether the stage fails again with the same code, data and machine

    @property
    def first_line(self) -> str:
        """Of the error, for tables."""
        return next(iter(self.error.strip().splitlines()), "no message")


class UnusableError(StudyError):
    """A stored stage that cannot be used.

    `reason` is the message without advice, `problem` also without the path in the store of this machine.
    """

    def __init__(self, path: str, reason: str, advice: Advice | None = None) -> None:
        self.reason, self.problem = f"{path}: {reason}", reason
        super().__init__(f"stored stage {path} cannot be used: {reason}", advice)


class CorruptError(UnusableError):
    """It is damaged, or was computed with other settings."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason, RECOMPUTE)


class NewerVersionError(UnusableError):
    """It is undamaged, but only a newer version can read it."""


class StoreError(StudyError):
    """The store cannot be reached, read or written. A failed write leaves nothing behind."""


class Store:
    """Finished stages in a folder or in object storage (s3://BUCKET/NAME, gs://BUCKET/NAME)."""

    def __init__(self, location: Path | str) -> None:
        self.storage = open_storage(location)

    @property
    def address(self) -> str:
        """The store's absolute path or URL, valid on every machine that shares it."""
        return self.storage.address

    @property
    def root(self) -> Path:
        """The store's folder. For object storage: a local folder for files that cannot be kept there."""
        return self.storage.local

    @property
    def is_folder(self) -> bool:
        """Whether the store is a folder, which can also hold append-only files and databases."""
        return isinstance(self.storage, Folder)

    @property
    def exists(self) -> bool:
        """Whether anything is stored there. Raises StoreError."""
        with self._storage_errors("read"):
            return any(map(self.storage.has_folder, PARTS)) or (self.root / "mlflow.db").is_file()

    def __str__(self) -> str:
        return self.storage.location("").rstrip("/")

    def prepare(self) -> None:
        """Create the store and check that it is writable. Raises StoreError."""
        with self._storage_errors("written"):
            self.storage.prepare()

    def has(self, stage: Stage) -> bool:
        """Whether a result is stored. It is not verified: `find` does that. Raises StoreError."""
        with self._storage_errors("read"):
            return self.storage.has_folder(_path(stage))

    def keys(self) -> frozenset[str]:
        """The keys of all stages that have a result. Raises StoreError."""
        with self._storage_errors("read"):
            return frozenset(name for kind in STAGE_KINDS for name in self.storage.list_folders(kind))

    def fingerprint(self, stage: Stage) -> str:
        """Identifies the stored result: another one if the stage was recomputed. Empty without a result.

        Raises StoreError.
        """
        with self._storage_errors("read"):
            files = self.storage.read_folder(_path(stage), [CHECKSUMS])
        return hashlib.sha256(files.get(CHECKSUMS, b"")).hexdigest()[:16] if files is not None else ""

    def find(self, stage: Stage) -> Result | None:
        """The stored result, or None. Fields that a newer version added are ignored.

        Raises CorruptError if it is damaged or of another stage, NewerVersionError, and StoreError.
        """
        files = self._read_verified(stage, "stage.json", "result.json")
        if files is None:
            return None
        stored = self._json(stage, "stage.json", files)
        if canonical_json(stored.get("identity")) != canonical_json(stage.identity):
            raise self._corrupt(stage, "stage.json describes another stage")
        if change := _first_change(_without_paths(stored.get("spec")), stage.spec()):
            raise self._unreadable(stage, stored, f"a default setting changed after it was computed ({change})")
        try:
            return from_record(Result, self._json(stage, "result.json", files))
        except TypeError as error:
            raise self._unreadable(stage, stored, f"result.json is incomplete ({error})") from None

    def weights(self, stage: Stage) -> bytes:
        """The stored weights, verified. Raises CorruptError if they are damaged or missing, and StoreError."""
        files = self._read_verified(stage, WEIGHTS)
        if files is None:
            raise self._corrupt(stage, f"{WEIGHTS} is missing")
        return files[WEIGHTS]

    def check(self, stage: Stage) -> None:
        """Verify every file of a stored stage: checksums, and predictions. Raises CorruptError or StoreError."""
        names = ("stage.json", "result.json", "config.json", WEIGHTS)
        self._decoded(stage, self._read_verified(stage, *names, optional=PREDICTIONS))

    def predictions(self, stage: Stage) -> Predictions | None:
        """The predicted class of every test image, verified; None where the stage was stored without them.

        Raises CorruptError if they are damaged, and StoreError.
        """
        return self._decoded(stage, self._read_verified(stage, optional=PREDICTIONS))

    def _decoded(self, stage: Stage, files: Mapping[str, bytes] | None) -> Predictions | None:
        if not files or PREDICTIONS not in files:
            return None
        try:
            return decode(files[PREDICTIONS])
        except ValueError as error:
            raise self._corrupt(stage, f"{PREDICTIONS} cannot be read ({error})") from None

    @contextlib.contextmanager
    def folder(self, stage: Stage) -> Iterator[Path]:
        """The files of a stored stage in a local folder, valid inside the context."""
        with self.storage.as_local(_path(stage)) as folder:
            yield folder

    def find_paths(self, prefix: str) -> list[str]:
        """Paths in the store (`finetune/KEY`) of the stages whose key has this prefix, fine-tuning first.

        Raises StoreError.
        """
        with self._storage_errors("read"):
            listed = {kind: self.storage.list_folders(kind) for kind in sorted(STAGE_KINDS)}
        return [f"{kind}/{key}" for kind, keys in listed.items() for key in sorted(keys) if key.startswith(prefix)]

    def recorded_stage(self, key: str) -> Stage:
        """The stage with this key that has a result, or has failed. Raises StudyError if its record is missing or
        damaged, and StoreError."""
        found = [*self.find_paths(key), f"failed/{key}.json"][0]
        path = found if found.endswith(".json") else f"{found}/stage.json"
        try:
            return Stage.from_spec(_mapping(self.read(path) or b"")["spec"])
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{self.storage.location(path)} cannot be read ({error})") from None

    @contextlib.contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """Like `folder`, for a path returned by `find_paths`. Raises StudyError if something else is there."""
        with contextlib.ExitStack() as stack:
            try:
                folder = stack.enter_context(self.storage.as_local(path))
            except FileNotFoundError:
                message = "damaged: not the folder of a stage; run its study with --recompute-damaged"
                raise StudyError(f"{self.storage.location(path)}: {message}") from None
            yield folder

    def save(
        self,
        stage: Stage,
        result: Result,
        weights: bytes,
        config: Mapping[str, Any],
        predictions: Predictions | None = None,
    ) -> None:
        """Store a finished stage atomically. If two writers store the same key, the first result is kept.

        Raises StoreError.
        """
        files = {
            "stage.json": _json({"identity": stage.identity, "spec": stage.spec(), "study": __version__}),
            "result.json": _json(asdict(result)),
            "config.json": _json(config),
            WEIGHTS: weights,
            **({PREDICTIONS: encode(predictions)} if predictions is not None else {}),
        }
        files[CHECKSUMS] = _json({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        with self._storage_errors("written"):
            self.storage.write_folder(_path(stage), files)
            self.storage.remove(_failure_path(stage))
        self.delete_checkpoint(stage)

    def discard(self, stage: Stage) -> None:
        """Remove a stored stage, so that the next run recomputes it, and the measurement of its exported model.

        Raises StoreError.
        """
        with self._storage_errors("written"):
            self.storage.remove(f"device/{stage.key}.json")
            self.storage.remove_folder(_path(stage))

    def record_failure(
        self, stage: Stage, error: str, provenance: Mapping[str, Any] | None = None, certain: bool = False
    ) -> str:
        """Record the failure of a stage, replacing an earlier one. Returns the id of the record. Raises StoreError."""
        name = uuid.uuid4().hex
        record = {"name": name, "spec": stage.spec(), "error": masked(error), "certain": certain}
        record["provenance"] = dict(provenance or {})
        self.write(_failure_path(stage), _json(record))
        return name

    def failure(self, stage: Stage) -> str | None:
        """The last error of a stage without a result, or None. Raises StoreError."""
        found = self.last_failure(stage)
        return found.error if found else None

    def last_failure(self, stage: Stage) -> Failure | None:
        """The last failure of a stage without a result, or None; a damaged record counts as one. Raises StoreError."""
        data = self.read(_failure_path(stage))
        if data is None:
            return None
        try:
            record = _mapping(data)
            provenance = dict(record.get("provenance", {}))
            return Failure(str(record["error"]), str(record.get("name", "")), provenance, record.get("certain") is True)
        except (ValueError, KeyError, TypeError) as error:
            return Failure(f"failure record {self.storage.location(_failure_path(stage))} cannot be read ({error})")

    def failed_at(self, stage: Stage) -> float | None:
        """When the stage's failure was recorded, by the store's clock; None without a failure. Raises StoreError."""
        with self._storage_errors("read"):
            return self.storage.modified(_failure_path(stage))

    def save_checkpoint(self, stage: Stage, data: bytes) -> None:
        """Store the checkpoint of a running stage, replacing an earlier one. Raises OSError."""
        self.storage.write(_checkpoint_path(stage), _digest_line(data) + data)

    def load_checkpoint(self, stage: Stage) -> StoredCheckpoint:
        """The stage's latest checkpoint. One with a wrong checksum is deleted."""
        try:
            digest, newline, data = self.storage.read(_checkpoint_path(stage)).partition(b"\n")
        except FileNotFoundError:
            return StoredCheckpoint()
        except OSError as error:
            return StoredCheckpoint(problem=f"a checkpoint could not be read: {error.strerror}")
        if digest + newline == _digest_line(data):
            return StoredCheckpoint(data)
        self.delete_checkpoint(stage)
        return StoredCheckpoint(problem="a checkpoint was deleted: checksum mismatch")

    def delete_checkpoint(self, stage: Stage) -> None:
        """Delete the stage's checkpoint. Errors are ignored: a checkpoint that is left over does no harm."""
        with contextlib.suppress(OSError):
            self.storage.remove(_checkpoint_path(stage))

    def remove_abandoned(self, active: Iterable[str], age: float = ABANDONED_AFTER) -> int:
        """Remove partial writes of killed processes that are older than `age` seconds, and checkpoints of finished
        stages. The keys in `active` are skipped. Returns the number of files and folders removed. Raises StoreError."""
        skipped = set(active)
        finished = self.keys() - skipped
        with self._storage_errors("written"):
            folders = (*STAGE_KINDS, "failed", "unfinished")
            removed = sum(self.storage.remove_partial(folder, skipped, age, finished) for folder in folders)
            for key in finished & self.storage.list_files("unfinished").keys():
                self.storage.remove(f"unfinished/{key}")
                removed += 1
        return removed

    # Small records of other modules (leases, deliveries, tunings). All methods raise StoreError.

    def write(self, path: str, data: bytes) -> None:
        """Write a file atomically."""
        with self._storage_errors("written"):
            self.storage.write(path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file if it does not exist. Of several concurrent writers, exactly one gets True."""
        with self._storage_errors("written"):
            return self.storage.create(path, data)

    def read(self, path: str) -> bytes | None:
        """A file's content, or None if it does not exist."""
        with contextlib.suppress(FileNotFoundError), self._storage_errors("read"):
            return self.storage.read(path)
        return None

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""
        with self._storage_errors("written"):
            self.storage.remove(path)

    def list_files(self, folder: str) -> dict[str, float]:
        """A folder's files with their modification times, in seconds by the store's clock."""
        with self._storage_errors("read"):
            return self.storage.list_files(folder)

    def usage(self, folder: str) -> dict[str, Usage]:
        """A folder's files and complete folders, by name, with their sizes."""
        with self._storage_errors("read"):
            return self.storage.usage(folder)

    def remove_folder(self, path: str) -> None:
        """Remove a stored stage by its path (`finetune/KEY`), if it exists."""
        with self._storage_errors("written"):
            self.storage.remove_folder(path)

    def remove_tree(self, folder: str) -> None:
        """Remove a folder of small records, if it exists."""
        with self._storage_errors("written"):
            self.storage.remove_tree(folder)

    def _read_verified(self, stage: Stage, *names: str, optional: str = "") -> dict[str, bytes] | None:
        """Files of a stored stage, verified by checksum; None where the stage is not stored.

        The optional one is required if the stage was stored with it.
        """
        asked = [name for name in (*names, optional) if name]
        with self._storage_errors("read"):
            files = self.storage.read_folder(_path(stage), [CHECKSUMS, *asked])
        if files is None:
            return None
        checksums = self._json(stage, CHECKSUMS, files)
        if optional not in checksums:
            asked = list(names)
            files.pop(optional, None)
        for name in asked:
            if name not in files:
                raise self._corrupt(stage, f"{name} is missing")
            if hashlib.sha256(files[name]).hexdigest() != checksums.get(name):
                raise self._corrupt(stage, f"checksum mismatch in {name}")
        return files

    def _json(self, stage: Stage, name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
        if name not in files:
            raise self._corrupt(stage, f"{name} is missing")
        try:
            return _mapping(files[name])
        except ValueError as error:
            raise self._corrupt(stage, f"{name} cannot be read ({error})") from None

    def _corrupt(self, stage: Stage, reason: str) -> CorruptError:
        return CorruptError(self.storage.location(_path(stage)), reason)

    def _unreadable(self, stage: Stage, stored: Mapping[str, Any], reason: str) -> UnusableError:
        """The error for an undamaged stage that does not fit this version."""
        writer = str(stored.get("study", ""))  # the version; none in older stores
        if is_newer(writer, than=__version__):
            message = f"written by a newer version of study ({writer}; this is {__version__}): update this installation"
            return NewerVersionError(self.storage.location(_path(stage)), message)
        return self._corrupt(stage, reason)

    @contextlib.contextmanager
    def _storage_errors(self, action: str) -> Iterator[None]:
        """Convert OSError to StoreError with a suggestion. FileNotFoundError passes: it is not a storage problem."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            suggestion = {"read": "", "written": "free disk space or fix permissions, or "}[action]
            raise StoreError(
                f"the store {self} cannot be {action}: {error.strerror or error}; "
                f"{suggestion}use another store with --store"
            ) from None


def _path(stage: Stage) -> str:
    return f"{stage.kind}/{stage.key}"


def _checkpoint_path(stage: Stage) -> str:
    return f"unfinished/{stage.key}"


def _failure_path(stage: Stage) -> str:
    return f"failed/{stage.key}.json"


def _mapping(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises ValueError."""
    found = json_text.parse(data.decode())
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _without_paths(spec: Any) -> Any:
    """A stored spec without the paths of own data that are identified by their content: they may be elsewhere now."""
    if not isinstance(spec, dict):
        return spec
    spec = {**spec, "parent": _without_paths(spec.get("parent"))}
    if "content" in spec and isinstance(spec.get("recipe"), dict):
        spec["recipe"] = {name: value for name, value in spec["recipe"].items() if name != "dataset"}
    return spec


def _first_change(stored: Any, current: Any, path: str = "") -> str | None:
    """The first stored setting that differs from the current one.

    Settings that only one of the two has are ignored: keys are equal, so they have their neutral values.
    """
    if not isinstance(stored, dict) or not isinstance(current, dict):
        return None if stored == current else f"{path[1:]} was {stored!r}, now {current!r}"
    both = (name for name in stored if name in current)
    changes = (_first_change(stored[name], current[name], f"{path}.{name}") for name in both)
    return next((change for change in changes if change), None)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _digest_line(data: bytes) -> bytes:
    return f"{hashlib.sha256(data).hexdigest()}\n".encode()
