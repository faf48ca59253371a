"""Storage backends of the store.

base     the interface
folder   a local or shared folder
objects  object storage: s3://BUCKET/NAME, gs://BUCKET/NAME
address  validation of object storage URLs
"""

from pathlib import Path

from study.store.backends.address import local_folder
from study.store.backends.base import Storage, Usage
from study.store.backends.folder import Folder

__all__ = ["Folder", "Storage", "Usage", "open_storage"]


def open_storage(location: Path | str) -> Storage:
    """The storage at a path or URL. Raises StudyError for an invalid or unsupported URL."""
    folder = local_folder(location)
    if folder is None:
        from study.store.backends.objects import Objects

        return Objects(str(location))
    return Folder(folder)
