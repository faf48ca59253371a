"""Finds a trained model by stage key, MLflow run, folder or address, and loads it: `study.load`."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from study.store.backends import open_storage
from study.store.backends.address import is_address
from study.store.results import Store
from study.tracking.server import default_uri, model_of
from study.tracking.sqlite import normalised
from study.utils.errors import StudyError
from study.utils.paths import expanded
from study.utils.text import plural

if TYPE_CHECKING:
    from study.vit.model_files import Model

KEY = re.compile(r"[0-9a-f]{4,64}")
TOO_SHORT = re.compile(r"[0-9a-f]{1,3}")
RUN_ID = re.compile(r"[0-9a-f]{32}")


def load(source: str | Path, store: str | None = None, tracking_uri: str | None = None) -> "Model":
    """A trained model, in evaluation mode on the CPU.

    source: a folder with `model.safetensors` and `config.json`, or its s3:// or gs:// URL; the key of a stored stage,
    or a unique prefix of at least four digits; or the id of an MLflow run. store: the store to search for keys
    (default: STUDY_STORE, or `.study`). tracking_uri: the server to search for runs (default: MLFLOW_TRACKING_URI, or
    the store's own). Raises StudyError if the model is not found.
    """
    from study.vit.model_files import load_folder  # imports torch

    with _folder_of(str(source), Store(store or os.environ.get("STUDY_STORE", ".study")), tracking_uri) as folder:
        return load_folder(folder)


@contextlib.contextmanager
def _folder_of(source: str, store: Store, tracking_uri: str | None) -> Iterator[Path]:
    """A local folder with the model of `source` (see `load`), valid inside the context."""
    if is_address(source):
        with _fetched(source) as folder:
            yield folder
    elif TOO_SHORT.fullmatch(source) and not Path(source).exists():
        raise StudyError(f"key prefix {source!r} is too short: give at least four digits")
    elif Path(source).exists() or not KEY.fullmatch(source):
        yield expanded(source)
    elif path := _stored(source, store):
        with store.local(path) as folder:
            yield folder
    elif RUN_ID.fullmatch(source):
        uri = normalised(tracking_uri) if tracking_uri else default_uri(store)
        with model_of(source, uri, store) as folder:
            yield folder
    else:
        where = store.root.resolve() if store.is_folder else store
        place = f"in {where}" if store.exists else f"in {where}: no store there"
        raise StudyError(
            f"no stage with key prefix {source!r} {place}; give another store as load({source!r}, store=PATH); "
            "the report of a study lists its keys"
        )


def _stored(prefix: str, store: Store) -> str | None:
    """The path in the store of the only stage with this key prefix."""
    found = store.find_paths(prefix)
    if len(found) > 1:
        count, some = plural(len(found), "stage"), ", ".join(found[:3])
        raise StudyError(f"key prefix {prefix!r} matches {count} in {store}: {some}; give more digits")
    return found[0] if found else None


@contextlib.contextmanager
def _fetched(address: str) -> Iterator[Path]:
    """A local copy of a stored stage's folder, valid inside the context."""
    store, _, folder = address.rstrip("/").rpartition("/")
    try:
        with open_storage(store).as_local(folder) as copy:
            yield copy
    except FileNotFoundError:
        raise StudyError(f"{address}: no model found; give STORE/finetune/KEY") from None
    except OSError as error:
        raise StudyError(f"{address}: cannot be read: {error.strerror}") from None
