"""Your own hosts, started by `ray up` over SSH. The first host is the head and trains as well."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from study.launch import mlflow_server, rayup
from study.launch.cluster import Cluster, Host, Place, Steps, Word, matching
from study.launch.text import as_yaml
from study.utils.frozen_model import PositiveInt

Key = Annotated[str, AfterValidator(matching(r"(?:~/)?[A-Za-z0-9./_][A-Za-z0-9._/-]*", "the path of a key file"))]


class OnPrem(Cluster):
    """Your own hosts, reached by SSH; the first one is the head."""

    title: ClassVar[str] = "own hosts"
    example: ClassVar[Mapping[str, Any]] = {
        "gpus": 2,
        "store": "/shared/store",
        "tracking_uri": "http://mlflow.example.org:5000",
        "host": ["10.0.0.1", "10.0.0.2", "node-3"],
        "user": "me",
    }

    nodes: PositiveInt = Field(default_factory=lambda: 1, description="number of hosts; omit it, --host gives it")
    host: Annotated[tuple[Host, ...], Field(min_length=1)] = Field(
        description="a host; repeat for every host, the head first"
    )
    user: Word = Field(description="user name on all hosts")
    key: Key | None = Field(None, description="private SSH key for all hosts; it is copied to the head")
    python: Word = Field("python3", description="Python 3.11 to 3.13 on all hosts")

    @model_validator(mode="before")
    @classmethod
    def _count(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("host"), list | tuple) and data.get("nodes") is None:
            return data | {"nodes": len(data["host"]) or 1}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.host)) < len(self.host):
            raise ValueError("--host contains a host twice")
        if self.nodes != len(self.host):
            raise ValueError(f"--nodes is {self.nodes}, but there are {len(self.host)} hosts; omit --nodes")
        if not self.store_is_address and not self.store.startswith("/"):
            raise ValueError(
                f"--store {self.store} would be a different folder on every host; give the absolute path of a folder "
                "that all hosts share, or an s3:// or gs:// address"
            )
        return self

    def files(self, place: Place) -> Mapping[str, str]:
        cluster = as_yaml("A cluster for `ray up`; see README.md.", self._cluster(place))
        return {"cluster.yaml": cluster, **rayup.files(self, place)}

    def _cluster(self, place: Place) -> dict[str, Any]:
        head, *workers = self.host
        options = f" --num-gpus={self.gpus}"
        return {
            "cluster_name": place.name,
            "max_workers": len(workers),
            "provider": {"type": "local", "head_ip": head, "worker_ips": workers},
            "auth": {"ssh_user": self.user} | ({"ssh_private_key": self.key} if self.key else {}),
            **rayup.common(place, self.python, self._packages()),
            "initialization_commands": [],
            **rayup.start_commands(options, options),
        }

    def _packages(self) -> list[str]:
        return ["s3fs"] if self.store.startswith("s3://") else ["gcsfs"] if self.store.startswith("gs://") else []

    def steps(self, place: Place) -> Steps:
        with_key = f"-i {self.key} " if self.key else ""
        logins = [f"ssh-copy-id {with_key}{self.user}@{host}" for host in self.host]
        return Steps(
            prepare="\n".join([rayup.prepare([]), "# SSH without a password", *logins]),
            **rayup.steps(place),
            mlflow=mlflow_server.compose_help(self, place),
            notes=(
                "`ray up` and `ray down` stop all Ray processes of that user on these hosts.",
                "The head starts Ray on the other hosts by SSH, with the copied `--key` or a key of its own.",
                "A lost host rejoins with `ray up`. To add a host, write these files again with one more `--host`.",
            ),
        )
