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
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from study.vit.model_files import Model

KEY = re.compile(r"[0-9a-f]{4,64}")
TOO_SHORT = re.compile(r"[0-9a-f]{1,3}")
RUN_ID = re.compile(r"[0-9a-f]{32}")


def load(source: str | Path, store: str | None = None, tracking_uri: str | None = None) -> "Model":
    """A finished model, in evaluation mode on the CPU.

    source: a folder that holds `model.safetensors` and `config.json`, or its s3:// or gs:// address; the key of a
    stored stage or its first digits (four or more, of one stage only); or the id of an MLflow run. store: where to
    look for keys (default: STUDY_STORE, or `.study`). tracking_uri: where to look for runs (default:
    MLFLOW_TRACKING_URI, or the store's own). Raises StudyError where there is no such model.
    """
    from study.vit.model_files import load_folder  # imports torch

    with _folder_of(str(source), Store(store or os.environ.get("STUDY_STORE", ".study")), tracking_uri) as folder:
        return load_folder(folder)


@contextlib.contextmanager
def _folder_of(source: str, store: Store, tracking_uri: str | None) -> Iterator[Path]:
    """The folder that `source` names, as `load` says, on this machine for as long as the context lasts."""
    if is_address(source):
        with _fetched(source) as folder:
            yield folder
    elif TOO_SHORT.fullmatch(source) and not Path(source).exists():
        raise StudyError(f"{source!r} is too little of a stage's key: give four of its digits at least")
    elif Path(source).exists() or not KEY.fullmatch(source):
        yield Path(source)
    elif path := _stored(source, store):
        with store.local(path) as folder:
            yield folder
    elif RUN_ID.fullmatch(source):
        with model_of(source, tracking_uri or default_uri(store)) as folder:
            yield folder
    else:
        where = store.root.resolve() if store.is_folder else store
        raise StudyError(f"no stage in {where} has a key that begins with {source!r}; a study's report has its keys")


def _stored(beginning: str, store: Store) -> str | None:
    """Where in the store the one stage lies whose key begins so."""
    found = store.find_paths(beginning)
    if len(found) > 1:
        some = ", ".join(found[:3])
        raise StudyError(f"{beginning!r} begins the keys of {len(found)} stages in {store}: {some}; give more digits")
    return found[0] if found else None


@contextlib.contextmanager
def _fetched(address: str) -> Iterator[Path]:
    """A stored stage's folder on this machine, for as long as the context lasts."""
    store, _, folder = address.rstrip("/").rpartition("/")
    try:
        with open_storage(store).as_local(folder) as copy:
            yield copy
    except FileNotFoundError:
        raise StudyError(f"{address}: no model is stored here; give STORE/finetune/KEY") from None
    except OSError as error:
        raise StudyError(f"{address}: cannot be read: {error.strerror}") from None
