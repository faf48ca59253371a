"""Object storage URLs: scheme://BUCKET/NAME, without credentials."""

from pathlib import Path
from urllib.parse import urlsplit

from study.utils.errors import StudyError
from study.utils.redact import masked

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
"""The package required for each scheme; both are in the extra `cluster`."""


def is_address(location: Path | str) -> bool:
    """Whether this is a URL rather than a path."""
    scheme, mark, _ = str(location).partition("://")
    return bool(mark) and scheme != "file"


def check(address: str) -> None:
    """Raise StudyError for a URL with credentials or parameters, or without a bucket."""
    parts = urlsplit(address)
    if "@" in address or parts.query:
        raise StudyError(
            f"invalid store URL {masked(address)!r}: must not contain a user name, password or parameters, because "
            "they would be visible in process lists and files. Use scheme://BUCKET/NAME, and pass credentials through "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS, or the machine's role"
        )
    if not parts.netloc:
        raise StudyError(f"invalid store URL {address!r}: must be scheme://BUCKET/NAME; the bucket is missing")


def unsupported(scheme: str) -> StudyError:
    """The error for a scheme that is unknown or whose package is not installed."""
    package = PACKAGES.get(scheme)
    if package is None:
        return StudyError(f"unsupported store URL {scheme}://: must be a folder, s3://BUCKET/NAME or gs://BUCKET/NAME")
    return StudyError(
        f"a store at {scheme}:// requires the package {package}: "
        'python -m pip install "lightweight-vit-study[cluster]" (in every environment that runs stages)'
    )
