"""Addresses of object storage: what they may look like. Credentials never stand in them."""

from pathlib import Path
from urllib.parse import urlsplit

from study.utils.errors import StudyError
from study.utils.redact import masked

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
"""Scheme to the package that opens it; both come with the extra `cluster`."""


def is_address(place: Path | str) -> bool:
    """Whether this is an address rather than a folder of this machine."""
    scheme, mark, _ = str(place).partition("://")
    return bool(mark) and scheme != "file"


def check(address: str) -> None:
    """Raise StudyError for an address with a password or parameters in it, or without a bucket."""
    parts = urlsplit(address)
    if "@" in address or parts.query:
        raise StudyError(
            f"the store's address {masked(address)!r} must not hold a user name, password or parameters: they would "
            "show in process lists and files. Give scheme://BUCKET/NAME; credentials come from the environment, as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS, or the machine's role"
        )
    if not parts.netloc:
        raise StudyError(f"the store's address {address!r} names no bucket; give scheme://BUCKET/NAME")


def no_package(scheme: str) -> StudyError:
    """The package that opens such addresses is not installed."""
    package = PACKAGES.get(scheme)
    if package is None:
        return StudyError(
            f"a store at {scheme}:// is not possible; give a folder, s3://BUCKET/NAME or gs://BUCKET/NAME"
        )
    return StudyError(
        f"a store at {scheme}:// needs the package {package}: "
        'python -m pip install "lightweight-vit-study[cluster]" (in every environment that runs stages)'
    )
