"""Finished stages, one folder each, named by key and written atomically: the truth that everything else mirrors.

    STORE/pretrain/KEY/   stage.json     what was asked for: the stage's identity and its whole settings
    STORE/finetune/KEY/   result.json    metrics, facts about the model, history per epoch, expert load, provenance
                          model.safetensors, config.json
                          checksums.json SHA-256 of every other file
    STORE/failed/KEY.json the last error of a stage that has no result yet
    STORE/unfinished/KEY  the latest checkpoint of a long stage that has no result yet, led by its SHA-256

A folder is written under another name and renamed into place, so what bears a key is whole. A failure is a note for
the report, never an answer: the stage is tried again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from study.errors import StudyError
from study.stages import VERSIONS, Stage, canonical_json

WEIGHTS = "model.safetensors"


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


class CorruptError(StudyError):
    """A stored stage whose files are not what was written, or not what is asked for now."""


class Store:
    """A folder of finished stages."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def prepare(self) -> None:
        """Make sure that results can be written. Raises StudyError for a read-only or full disk."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / "probe"
            _write_file(probe, b"\0" * 4096)
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise StudyError(
                f"the store {self.root} cannot be written: {error.strerror}; "
                "free the disk or its permissions, or name another folder with --store"
            ) from None

    def has(self, stage: Stage) -> bool:
        """Whether a result is stored; it is read and checked by `find`."""
        return self._folder(stage).is_dir()

    def keys(self) -> frozenset[str]:
        """The keys of all stages that have a result. Raises StudyError where the store cannot be looked at."""
        try:
            return frozenset(name for kind in VERSIONS for name in _listed(self.root / kind) if name[0] != ".")
        except OSError as error:
            raise StudyError(
                f"the store {self.root} cannot be read: {error.strerror}; name another folder with --store"
            ) from None

    def find(self, stage: Stage) -> Result | None:
        """The stored result, None where there is none. Raises CorruptError if it is damaged or not this stage's."""
        folder = self._folder(stage)
        if not folder.is_dir():
            return None
        stored = _read_json(_verified(folder, "stage.json"), folder)
        if canonical_json(stored.get("identity")) != canonical_json(stage.identity):
            raise _corrupt(folder, "stage.json describes another stage")
        if change := _first_change(stored.get("spec"), stage.spec()):
            raise _corrupt(folder, f"a default has changed since it was computed ({change})")
        try:
            return Result(**_read_json(_verified(folder, "result.json"), folder))
        except TypeError:  # fields of another version of this code
            raise _corrupt(folder, "result.json has other fields than this version writes") from None

    def weights(self, stage: Stage) -> Path:
        """The stored weights, their checksum verified. Raises CorruptError."""
        return _verified(self._folder(stage), WEIGHTS)

    def save(self, stage: Stage, result: Result, weights: bytes, config: Mapping[str, Any]) -> None:
        """Write a finished stage. Of two writers of one key the first one's result stays. Raises OSError."""
        files = {
            "stage.json": _json({"identity": stage.identity, "spec": stage.spec()}),
            "result.json": _json(asdict(result)),
            "config.json": _json(config),
            WEIGHTS: weights,
        }
        files["checksums.json"] = _json({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})
        folder = self._folder(stage)
        if not folder.is_dir():
            _write_folder(folder, files)
        self._failure(stage).unlink(missing_ok=True)
        self.drop_unfinished(stage)

    def discard(self, stage: Stage) -> None:
        """Remove a stored stage, so that it is computed again."""
        shutil.rmtree(self._folder(stage), ignore_errors=True)

    def fail(self, stage: Stage, error: str) -> None:
        """Note the error of a stage that could not be finished. Raises OSError."""
        _write_file(self._failure(stage), _json({"spec": stage.spec(), "error": error}))

    def failure(self, stage: Stage) -> str | None:
        """The last error of a stage without a result."""
        path = self._failure(stage)
        return str(_read_json(path, path)["error"]) if path.is_file() else None

    def keep_unfinished(self, stage: Stage, data: bytes) -> None:
        """Put the state of a stage aside, in place of an earlier one. Raises OSError."""
        _write_file(self._checkpoint(stage), _digest_line(data) + data)

    def unfinished(self, stage: Stage) -> Unfinished:
        """The state that was put aside; one whose checksum is wrong is removed, never given."""
        try:
            digest, newline, data = self._checkpoint(stage).read_bytes().partition(b"\n")
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
            self._checkpoint(stage).unlink()

    def _folder(self, stage: Stage) -> Path:
        return self.root / stage.kind / stage.key

    def _checkpoint(self, stage: Stage) -> Path:
        return self.root / "unfinished" / stage.key

    def _failure(self, stage: Stage) -> Path:
        return self.root / "failed" / f"{stage.key}.json"


def _verified(folder: Path, name: str) -> Path:
    expected = _read_json(folder / "checksums.json", folder).get(name)
    path = folder / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise _corrupt(folder, f"{name} does not have the checksum it was written with")
    return path


def _first_change(stored: Any, present: Any, path: str = "") -> str | None:
    """Where a stored setting differs from the present one; a setting that was not known then does not count."""
    if not isinstance(stored, dict) or not isinstance(present, dict):
        return None if stored == present else f"{path[1:]} was {stored!r}, is {present!r}"
    changes = (_first_change(stored[name], present.get(name), f"{path}.{name}") for name in stored)
    return next((change for change in changes if change), None)


def _corrupt(folder: Path, what: str) -> CorruptError:
    return CorruptError(f"stored stage {folder} cannot be used: {what}; to compute it again, remove that folder")


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _corrupt(folder, f"{path.name} is missing") from None
    except (ValueError, OSError) as error:
        raise _corrupt(folder, f"{path.name} cannot be read ({error})") from None
    if not isinstance(data, dict):
        raise _corrupt(folder, f"{path.name} does not hold a mapping")
    return data


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _digest_line(data: bytes) -> bytes:
    return f"{hashlib.sha256(data).hexdigest()}\n".encode()


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    temporary = _beside(folder)
    try:
        temporary.mkdir(parents=True)
        for name, data in files.items():
            (temporary / name).write_bytes(data)
        os.rename(temporary, folder)
    except OSError:
        if not folder.is_dir():  # a lost race leaves the winner's folder; anything else is a real failure
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # also where Ctrl-C ends the writing


def _write_file(path: Path, data: bytes) -> None:
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _beside(path: Path) -> Path:
    """A name nobody else uses, in the same folder so that renaming is atomic; `Store.keys` skips it."""
    return path.with_name(f".{path.name}-{uuid.uuid4().hex}")
