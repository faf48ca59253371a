"""Object storage URLs: scheme://BUCKET/NAME, without credentials."""

import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from study.utils.errors import StudyError
from study.utils.paths import expanded
from study.utils.redact import masked

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
"""The package required for each scheme; both are in the extra `cluster`."""


def is_address(location: Path | str) -> bool:
    """Whether this is an object storage URL rather than a folder."""
    return local_folder(location) is None


def local_folder(location: Path | str) -> Path | None:
    """The folder of a path, which may start with `~`, or of a file:// URL; None for an object storage URL.

    Raises StudyError for the home folder of a user who does not exist.
    """
    if _scheme(location) not in ("", "file"):
        return None
    path = str(location)
    return Path(url2pathname(path.removeprefix("file://"))) if path.startswith("file://") else expanded(location)


def _scheme(location: Path | str) -> str:
    slashes = "/" if isinstance(location, Path) else "//"  # Path("s3://x") is s3:/x
    found = re.match(rf"([A-Za-z][A-Za-z0-9+.-]*):{slashes}", str(location))
    return found[1] if found else ""


def check(address: str) -> None:
    """Raise StudyError for a URL with credentials or parameters, without a bucket, or of an unsupported scheme."""
    parts = urlsplit(address)
    if "@" in address or parts.query:
        raise StudyError(
            f"invalid store URL {masked(address)!r}: must not contain a user name, password or parameters, because "
            "they would be visible in process lists and files. Use scheme://BUCKET/NAME, and pass credentials through "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS, or the machine's role"
        )
    if not parts.netloc:
        raise StudyError(f"invalid store URL {address!r}: must be scheme://BUCKET/NAME; the bucket is missing")
    import fsspec  # type: ignore[import-untyped]  # it ships no types

    try:
        fsspec.get_filesystem_class(parts.scheme)
    except (ImportError, ValueError):
        raise unsupported(parts.scheme) from None


def unsupported(scheme: str) -> StudyError:
    """The error for a scheme that is unknown or whose package is not installed."""
    package = PACKAGES.get(scheme)
    if package is None:
        return StudyError(f"unsupported store URL {scheme}://: must be a folder, s3://BUCKET/NAME or gs://BUCKET/NAME")
    return StudyError(
        f"a store at {scheme}:// requires the package {package}: "
        'python -m pip install "lightweight-vit-study[cluster]" (in every environment that runs stages)'
    )
