"""What the own data sets of a study contain: by this, not by their path, their results are found.

    STORE/data/NAME.CONTENT   one file per own data set and content that a run used: the name as written in the grid
                              (NAME is its hash), and the digests of the decoded images by size

Where the data are not at hand, as for a report on another machine, the content that was run last is assumed.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cached_property

from study.design.stages import Stage, stages_of
from study.design.study import Trial
from study.store.results import Store, UnusableError
from study.utils import json_text
from study.utils.errors import StudyError
from study.vit import subject

FOLDER = "data"


class Contents:
    """The content of each own data set, read once: one run uses the same keys from its start to its report."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._present: dict[str, str | None] = {}  # by name
        self._decoded: dict[tuple[str, int], str | None] = {}  # by name and image size
        self._trained_on: dict[str, str | None] = {}  # by key of the stage

    def of(self, name: str) -> str | None:
        """The digest of a data set's content. None if it is identified by name, or if nothing is known of it.

        Raises StoreError.
        """
        if not subject.is_own_data(name):
            return None
        return self.present(name) or next(iter(self.recorded(name)), None)

    def same(self, name: str, other: str) -> bool:
        """Whether two names of own data are of the same content; False if that is not known. Raises StoreError."""
        return self.of(name) is not None and self.of(name) == self.of(other)

    def present(self, name: str) -> str | None:
        """The digest of own data on this machine; None if they are not found or cannot be read."""
        if name not in self._present:
            with contextlib.suppress(StudyError):
                self._present[name] = subject.content(name)
        return self._present.setdefault(name, None)

    def recorded(self, name: str) -> list[str]:
        """The contents of own data that runs have used, the latest first. Raises StoreError."""
        start = f"{_hash(name)}."
        found = {file.removeprefix(start): time for file, time in self._records.items() if file.startswith(start)}
        return sorted(found, key=lambda content: (-found[content], content))

    def stages_of(self, trial: Trial, is_stored: Callable[[Stage], bool]) -> list[Stage]:
        """A trial's stages, in order.

        A stage without a result has one nevertheless if it was stored by path, before own data were identified by
        content, and was trained on the present images; then that is the stage. Raises StoreError.
        """
        stages: list[Stage] = []
        for stage in stages_of(trial, self.of):
            parent = stages[-1] if stages else None
            stages.append(self._found(stage if stage.parent == parent else replace(stage, parent=parent), is_stored))
        return stages

    def record(self, stages: Collection[Stage]) -> None:
        """Record the contents that a run uses. Raises StoreError."""
        sizes: dict[tuple[str, str], set[int]] = {}
        for stage in stages:
            if (content := self.of(stage.dataset)) is not None:
                sizes.setdefault((stage.dataset, content), set()).add(stage.settings.data[1])
        for (name, content), used in sizes.items():
            decoded = {str(size): subject.decoded_digest(name, size) for size in sorted(used)}
            record = {"dataset": name, "content": content, "decoded": decoded}
            self._store.write(f"{FOLDER}/{_hash(name)}.{content}", json.dumps(record).encode())

    @cached_property
    def _records(self) -> Mapping[str, float]:
        return self._store.list_files(FOLDER)

    def decoded(self, name: str, size: int) -> str | None:
        """The digest of a data set's images and labels as this machine loads them, or as recorded where own data are
        not at hand; None if it is unknown, because they have not been decoded here yet."""
        if subject.is_own_data(name) and not self.present(name):
            return self._recorded_digest(name, size)
        with contextlib.suppress(StudyError):
            return subject.decoded_digest(name, size)
        return None

    def _found(self, stage: Stage, is_stored: Callable[[Stage], bool]) -> Stage:
        by_path = replace(stage, content=None)
        if stage.content is None or is_stored(stage) or not is_stored(by_path):
            return stage
        digest = self._trained(by_path)
        return by_path if digest is not None and digest == self._digest(*stage.settings.data) else stage

    def _trained(self, stage: Stage) -> str | None:
        """The digest of the images on which a stored stage was trained; None if it is damaged or has none."""
        if stage.key not in self._trained_on:
            try:
                result = self._store.find(stage)
            except UnusableError:
                result = None
            self._trained_on[stage.key] = result.provenance.get("data") if result else None
        return self._trained_on[stage.key]

    def _digest(self, name: str, size: int) -> str | None:
        """The digest of the decoded images: of the present data, otherwise as recorded."""
        if (name, size) not in self._decoded:
            self._decoded[name, size] = _decode(name, size) if self.present(name) else self._recorded_digest(name, size)
        return self._decoded[name, size]

    def _recorded_digest(self, name: str, size: int) -> str | None:
        try:
            record = json_text.parse(self._store.read(f"{FOLDER}/{_hash(name)}.{self.of(name)}") or b"{}")
            digest = record["decoded"][str(size)]
            return digest if isinstance(digest, str) else None
        except (ValueError, KeyError, TypeError):
            return None


def _decode(name: str, size: int) -> str | None:
    with contextlib.suppress(StudyError):  # a run reports images that cannot be decoded
        return subject.data_digest(name, size)
    return None


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
