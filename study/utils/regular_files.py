"""Reads files that may be something else by now: a FIFO would block for ever, a device may have no end."""

import errno
import os
import stat
from pathlib import Path

_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV}  # ENXIO: a socket


def read(path: Path) -> bytes:
    """The content of a regular file, also of one that a link leads to.

    Raises FileNotFoundError for anything else, and OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
