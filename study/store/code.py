"""The code that a stored result depends on: settings, data, models and training, by the content of their files.

    STORE/code/DIGEST.json    the digest of every file, so that the files in which two versions differ can be named

Every result has the digest of the code that computed it, uncommitted changes included. Reports, messages, the command
line and the export of models are not part of it, nor are comments and docstrings.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from study.store.results import Store
from study.utils import json_text, provenance
from study.utils.canonical_json import canonical_json
from study.utils.source_code import content_digest

INCLUDED = ("study/vit", "study/execution/run_stage.py", "study/execution/checkpoint.py")
EXCLUDED = (
    *("study/vit/export", "study/vit/model_files.py", "study/vit/models/predictor.py"),  # use trained models
    "study/vit/training/pace.py",  # forecasts
    *("study/vit/data/conversion.py", "study/vit/data/converters"),  # write files, which are data by their content
    "study/vit/data/reading.py",  # texts
)
ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "pretrain": ("study/vit/models/mae.py", "study/vit/training/pretrain.py"),
    "finetune": tuple(f"study/vit/training/{name}.py" for name in ("finetune", "predictions", "probe", "supervision")),
}
"""Files that only one kind of stage depends on."""


@dataclass(frozen=True)
class Code:
    """The digests of its files, by path, such as `study/vit/models/vit.py`."""

    files: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(canonical_json(self.files).encode()).hexdigest()

    def differing(self, other: "Code", kind: str) -> list[str]:
        """The files that a kind of stage depends on and that differ, or that only one of the two has.

        Recorded files that do not count in this version are left out.
        """
        irrelevant = {name for only, names in ONLY_FOR.items() if only != kind for name in names}
        names = sorted(name for name in (self.files.keys() | other.files.keys()) - irrelevant if counts(name))
        return [name for name in names if self.files.get(name) != other.files.get(name)]


@cache
def present_code() -> Code:
    """The code of this process: read once, since modules are imported once."""
    root = provenance.PACKAGE.parent
    return Code({name: content_digest(root / name) for name in sorted(_names())})


def record(store: Store, code: Code) -> None:
    """Store the digests of the files, if they are not stored yet. Raises StoreError."""
    if read(store, code.digest) is None:
        store.write(_path(code.digest), (json.dumps(code.files, indent=1) + "\n").encode())


def read(store: Store, digest: str) -> Code | None:
    """The code with this digest; None if its files are not recorded, or the record is damaged. Raises StoreError."""
    try:
        found = Code(json_text.parse(store.read(_path(digest)) or b"null"))
        return found if found.digest == digest else None
    except (ValueError, AttributeError, TypeError):
        return None


def _names() -> Iterator[str]:
    root = provenance.PACKAGE.parent
    for place in INCLUDED:
        for path in sorted((root / place).rglob("*")) if (root / place).is_dir() else [root / place]:
            name = path.relative_to(root).as_posix()
            if path.is_file() and counts(name):
                yield name


def counts(name: str) -> bool:
    """Whether a result can depend on a file of the package, by its path such as `study/vit/models/vit.py`.

    Editors and file systems leave others beside the modules, such as `.vit.py.swp` and `._vit.py`.
    """
    is_module = name.endswith(".py") and "/." not in name
    return is_module and _is_in(name, INCLUDED) and not _is_in(name, EXCLUDED)


def _is_in(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in places)


def _path(digest: str) -> str:
    return f"code/{digest}.json"
