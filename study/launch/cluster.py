"""The base class of launchers: the options of every kind of cluster, and what a launcher returns.

Options end up in shell scripts and YAML. Therefore each type of value allows only the characters that it needs, values
are quoted where they are used, and none is used as a template or a format string.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from study.utils.command_line import Invocation
from study.utils.frozen_model import Frozen, NonNegativeInt, PositiveInt

OWN_DATA = ("parquet:", "imagefolder:")  # prefixes of data sets that are paths

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_PATH = r"[A-Za-z0-9./_][A-Za-z0-9._+=,/-]*"
_BUCKET = r"(?:s3|gs)://[a-z0-9][a-z0-9._-]+(?:/[A-Za-z0-9._+=,-]+)+/?"


def _without_parent_steps(value: str) -> str:
    if ".." in value.split("/"):
        raise ValueError(f"invalid value {value!r}: must not contain '..'")
    return value


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """A validator for text that must match the pattern as a whole and contain no `..` between slashes."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"invalid value {value!r}: must be {what}")
        return _without_parent_steps(value)

    return check


def _check_server(value: str) -> str:
    """The address is written to files, so it must not contain credentials; the error does not repeat them either."""
    if "@" in value:
        raise ValueError(
            "contains a user name or password, but secrets are never written to files; omit them and store them in "
            "~/.mlflow/credentials on the machine that runs the driver, or in MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD there"
        )
    if not re.fullmatch(rf"https?://{_HOST}(?::[0-9]{{1,5}})?(?:/[A-Za-z0-9._/-]*)?", value):
        raise ValueError(
            f"invalid value {value!r}: must be the address of an MLflow server, http://HOST:5000 or https://HOST "
            "(SQLite files do not work over the network)"
        )
    return _without_parent_steps(value)


Word = Annotated[str, AfterValidator(matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits, '.', '_' and '-'"))]
Host = Annotated[str, AfterValidator(matching(_HOST, "a host name or an address"))]
PathText = Annotated[str, AfterValidator(matching(_PATH, "a path of letters, digits and '._+=,-/'"))]
Location = Annotated[
    str,
    AfterValidator(
        matching(
            f"{_BUCKET}|{_PATH}", "a path of letters, digits and '._+=,-/', or s3://BUCKET/NAME or gs://BUCKET/NAME"
        )
    ),
]
Server = Annotated[str, AfterValidator(_check_server)]


@dataclass(frozen=True)
class Place:
    """The study and the location of its launch files."""

    study: str
    grid: str  # text of the grid file
    folder: PurePosixPath  # relative to the root of the repository
    ray: str  # the locked version
    datasets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The study's name as a DNS label of at most 47 characters, the limit of KubeRay's RayJob."""
        label = re.sub(r"[^a-z0-9]+", "-", self.study.lower()).strip("-")
        if label == self.study and len(label) <= 40:
            return f"study-{label}"
        mark = hashlib.sha256(self.study.encode()).hexdigest()[:6]  # keeps the names of two studies different
        return f"study-{label[:33].strip('-')}-{mark}"


@dataclass(frozen=True)
class Steps:
    """The commands of the README, in bash, to run in the root of the repository."""

    prepare: str
    start: str
    watch: str
    resume: str
    stop: str
    fetch: str  # copies the report
    mlflow: str  # Markdown: how to start an MLflow server
    notes: tuple[str, ...] = field(default=())


class Cluster(Frozen, ABC):
    """One kind of cluster: its options, and the files generated from them.

    The fields are the options of the command line. The docstring of a subclass is its help text.
    """

    title: ClassVar[str]  # of the README
    example: ClassVar[Mapping[str, Any]]  # valid options, shown in the help text and used by the conformance tests

    nodes: PositiveInt = Field(1, description="number of machines that train")
    gpus: NonNegativeInt = Field(0, description="GPUs per machine")
    store: Location = Field(description="folder that all machines share, or s3:// or gs:// address")
    tracking_uri: Server = Field(description="address of the MLflow server for the driver, such as http://HOST:5000")

    @abstractmethod
    def files(self, place: Place) -> Mapping[str, str]:
        """File name to content, except the README and the grid."""

    @abstractmethod
    def steps(self, place: Place) -> Steps:
        """How to start, watch, resume and stop."""

    def warnings(self) -> tuple[str, ...]:
        """Warnings to print after the files are written."""
        if self.tracking_uri.startswith("http://") and not self.tracking_is_local:
            return (
                f"connections to the MLflow server at {self.tracking_uri} are not encrypted: "
                "keep it on a private network",
            )
        return ()

    @property
    def cpus_per_node(self) -> int | None:
        """CPUs of a machine that trains; None if unknown before it starts."""
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
        """The driver's command."""
        invocation = Invocation(grid, {"address": "auto", **self._places})
        return [python, *invocation.words("run", *more)[1:]]

    def command(self, verb: str, place: Place) -> str:
        """A command on this study, its store and its server, outside the cluster."""
        return Invocation(f"{place.folder}/grid.yaml", self._places).command(verb)

    @property
    def _places(self) -> dict[str, str]:
        return {"store": self.store, "tracking_uri": self.tracking_uri}
