"""Where files of a store lie: a folder, or an address of object storage such as s3://BUCKET/NAME or gs://BUCKET/NAME."""

from pathlib import Path

from study.store.backends.address import local_folder
from study.store.backends.base import Storage
from study.store.backends.folder import Folder

__all__ = ["Folder", "Storage", "open_storage"]


def open_storage(place: Path | str) -> Storage:
    """The storage at a path or an address. Raises StudyError for an address that cannot be opened."""
    folder = local_folder(place)
    if folder is None:
        from study.store.backends.objects import Objects

        return Objects(str(place))
    return Folder(folder)
