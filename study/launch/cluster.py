"""What every kind of cluster is asked for, and what a launcher makes of it.

What a user gives ends up in shell scripts and YAML. So each value is held to the letters its kind of value needs, is
quoted where it is used, and is never a template or a format string.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from study.utils.frozen_model import Frozen, NonNegativeInt, PositiveInt

OWN_DATA = ("parquet:", "imagefolder:")  # data sets that are paths

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_PATH = r"[A-Za-z0-9./_][A-Za-z0-9._+=,/-]*"
_BUCKET = r"(?:s3|gs)://[a-z0-9][a-z0-9._-]+(?:/[A-Za-z0-9._+=,-]+)+/?"


def held_to(pattern: str, what: str) -> Callable[[str], str]:
    """A validator of text that must match as a whole."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not possible; it must be {what}")
        return value

    return check


def _check_server(value: str) -> str:
    """Only an address goes into files; a user name and password would be a secret, so they are not even repeated."""
    if "@" in value:
        raise ValueError(
            "has a user name or password in it, and nothing secret is written; leave them out and put them into "
            "~/.mlflow/credentials on the machine that runs the driver, or into MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD there"
        )
    if not re.fullmatch(rf"https?://{_HOST}(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9._/-]*)?", value):
        raise ValueError(
            f"{value!r} is not possible; it must be an MLflow server as the driver reaches it, http://HOST:5000 or "
            "https://HOST (a file in the store would be written to over the network)"
        )
    return value


Word = Annotated[str, AfterValidator(held_to(r"[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, '.', '_' and '-'"))]
Host = Annotated[str, AfterValidator(held_to(_HOST, "a host name or an address"))]
PathText = Annotated[str, AfterValidator(held_to(_PATH, "a path of letters, digits and '._+=,-/'"))]
Location = Annotated[
    str,
    AfterValidator(
        held_to(
            f"{_BUCKET}|{_PATH}", "a path of letters, digits and '._+=,-/', or s3://BUCKET/NAME or gs://BUCKET/NAME"
        )
    ),
]
Server = Annotated[str, AfterValidator(_check_server)]


@dataclass(frozen=True)
class Place:
    """What a launcher knows of the study and of where its files will lie."""

    study: str
    grid: str  # the grid file's text
    folder: PurePosixPath  # of the files, relative to the repository's root
    ray: str  # the locked version
    datasets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The study's name as a DNS label of at most 47 letters, which is what KubeRay allows a RayJob."""
        label = re.sub(r"[^a-z0-9]+", "-", self.study.lower()).strip("-")
        if label == self.study and len(label) <= 40:
            return f"study-{label}"
        mark = hashlib.sha256(self.study.encode()).hexdigest()[:6]  # two studies never share a cluster's name
        return f"study-{label[:33].strip('-')}-{mark}"


@dataclass(frozen=True)
class Steps:
    """The commands of a README, as bash; each runs in the repository's root."""

    prepare: str
    start: str
    watch: str
    resume: str
    stop: str
    fetch: str  # the report
    mlflow: str  # Markdown: the server, and how to start one
    notes: tuple[str, ...] = field(default=())


class Cluster(Frozen, ABC):
    """One kind of cluster: its options, and the files they make."""

    title: ClassVar[str]  # as a README says it

    nodes: PositiveInt = Field(1, description="machines that train")
    gpus: NonNegativeInt = Field(0, description="GPUs of each machine")
    store: Location = Field(description="folder or s3:// or gs:// address that all machines see")
    tracking_uri: Server = Field(description="the MLflow server as the driver reaches it, for example http://HOST:5000")

    @abstractmethod
    def files(self, place: Place) -> Mapping[str, str]:
        """Name within the folder to text, without the README and the grid."""

    @abstractmethod
    def steps(self, place: Place) -> Steps:
        """How to start, watch, resume and stop."""

    def warnings(self) -> tuple[str, ...]:
        """What the user should know at once."""
        if self.tracking_uri.startswith("http://") and not self.tracking_is_local:
            return (
                f"the MLflow server at {self.tracking_uri} is reached over the network without encryption: "
                "keep it on a private network",
            )
        return ()

    @property
    def cpus_per_node(self) -> int | None:
        """Processors of a machine that trains; None where only the machine knows."""
        return None

    @property
    def store_is_address(self) -> bool:
        return "://" in self.store

    @property
    def tracking_host(self) -> str:
        return urlsplit(self.tracking_uri).hostname or ""

    @property
    def tracking_port(self) -> int:
        parts = urlsplit(self.tracking_uri)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def tracking_is_local(self) -> bool:
        return self.tracking_host in {"localhost", "127.0.0.1"}

    def run(self, python: str, grid: str, *more: str) -> list[str]:
        """The words of the driver's command."""
        where = ["--address", "auto", "--store", self.store, "--tracking-uri", self.tracking_uri]
        return [python, "-m", "study", "run", grid, *where, *more]
