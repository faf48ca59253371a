"""Addresses of object storage: which are valid, and which package opens them. They never contain credentials."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from study.utils.errors import StudyError
from study.utils.redact import masked

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
"""Scheme to the package that opens it; both are in the extra `cluster`."""


def is_address(place: Path | str) -> bool:
    """Whether this is an address rather than a folder of this machine."""
    return local_folder(place) is None


def local_folder(place: Path | str) -> Path | None:
    """The folder of a path or a file:// address; None for an address of object storage."""
    if scheme_of(place) not in ("", "file"):
        return None
    return Path(str(place).removeprefix("file://"))


def scheme_of(place: Path | str) -> str:
    """The scheme of an address, such as s3; empty for a path."""
    slashes = "/" if isinstance(place, Path) else "//"  # Path("s3://x") is s3:/x
    found = re.match(rf"([A-Za-z][A-Za-z0-9+.-]*):{slashes}", str(place))
    return found[1] if found else ""


def check(address: str) -> None:
    """Raise StudyError for an address with a password or parameters, without a bucket, or without a package for it."""
    parts = urlsplit(address)
    if "@" in address or parts.query:
        raise StudyError(
            f"invalid store URL {masked(address)!r}: must not contain a user name, password or parameters, because "
            "they would be visible in process lists and files. Use scheme://BUCKET/NAME, and pass credentials through "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS, or the machine's role"
        )
    if not parts.netloc:
        raise StudyError(f"the store's address {address!r} has no bucket; give scheme://BUCKET/NAME")
    import fsspec  # type: ignore[import-untyped]  # it ships no types

    try:
        fsspec.get_filesystem_class(parts.scheme)
    except (ImportError, ValueError):
        raise no_package(parts.scheme) from None


def unsupported(scheme: str) -> StudyError:
    """The error for a scheme that is unknown or whose package is not installed."""
    package = PACKAGES.get(scheme)
    if package is None:
        return StudyError(
            f"invalid scheme {scheme}:// of a store: must be a folder, s3://BUCKET/NAME or gs://BUCKET/NAME"
        )
    return StudyError(
        f"a store at {scheme}:// requires the package {package}: "
        'python -m pip install "lightweight-vit-study[cluster]" (in every environment that runs stages)'
    )
