"""An example of an MLflow server with PostgreSQL, for users without one: Docker Compose files and plain commands.

Only the driver needs to reach the server. By default the server listens on localhost. It accepts only requests for its
allowed host names.
"""

from collections.abc import Mapping
from typing import Any

from study.launch.cluster import Cluster, Place
from study.launch.text import as_yaml

PASSWORD = "mlflow/postgres_password"  # the user creates it; never written here
PORT = 5000
DOCKERFILE = """\
# MLflow and the PostgreSQL driver, with the versions of the lock file.
FROM python:3.11-slim
COPY requirements.lock /tmp/
RUN python -m pip install --no-cache-dir --constraint /tmp/requirements.lock mlflow psycopg2-binary
"""
LOCAL = "It listens on localhost of that machine."
BEYOND = (
    "`MLFLOW_BIND` makes it listen on another address than localhost. Anyone who reaches the port can read and write "
    "all runs: use an address of a private network, and block the port for all other machines."
)


def command(host: str, port: int, database: str, artifacts: str) -> list[str]:
    """The command that starts the server. It proxies artifacts, so that a driver needs only its address."""
    listen = ["--host", host, "--port", str(port)]
    return [
        "python",
        "-m",
        "mlflow",
        "server",
        *listen,
        "--artifacts-destination",
        artifacts,
        "--backend-store-uri",
        database,
    ]


def compose_files(cluster: Cluster, place: Place) -> Mapping[str, str]:
    """The server for Docker Compose, and a .gitignore for its password."""
    depth = "/".join([".."] * (len(place.folder.parts) + 1))  # from mlflow/ to the repository's root
    up = " ".join(command("0.0.0.0", 5000, "postgresql+psycopg2://mlflow@postgres/mlflow", "/artifacts"))
    mlflow: dict[str, Any] = {
        "build": {"context": depth, "dockerfile": f"{place.folder}/mlflow/Dockerfile"},
        "entrypoint": ["sh", "-c"],
        "command": [f"export PGPASSWORD=$$(cat /run/secrets/postgres_password); exec {up}"],
        "environment": {
            "MLFLOW_SERVER_ALLOWED_HOSTS": allowed_hosts(cluster.tracking_host),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        "secrets": ["postgres_password"],
        "ports": [f"${{MLFLOW_BIND:-127.0.0.1}}:{_port(cluster)}:5000"],
        "volumes": ["artifacts:/artifacts"],
        "depends_on": {"postgres": {"condition": "service_healthy"}},
        "restart": "unless-stopped",
    }
    postgres: dict[str, Any] = {
        "image": "postgres:17",
        "environment": {
            "POSTGRES_USER": "mlflow",
            "POSTGRES_DB": "mlflow",
            "POSTGRES_PASSWORD_FILE": "/run/secrets/postgres_password",
        },
        "secrets": ["postgres_password"],
        "volumes": ["database:/var/lib/postgresql/data"],
        "healthcheck": {"test": ["CMD", "pg_isready", "--username", "mlflow"], "interval": "3s", "retries": 20},
        "restart": "unless-stopped",
    }
    document = {
        "name": "study-mlflow",
        "services": {"postgres": postgres, "mlflow": mlflow},
        "secrets": {"postgres_password": {"file": "./postgres_password"}},
        "volumes": {"database": {}, "artifacts": {}},
    }
    comment = "MLflow with PostgreSQL, on localhost unless MLFLOW_BIND is set to another address."
    return {
        "mlflow/compose.yaml": as_yaml(comment, document),
        "mlflow/Dockerfile": DOCKERFILE,
        ".gitignore": f"{PASSWORD}\ncommit\n*.log\n",
    }


def allowed_hosts(*names: str) -> str:
    """The host names that MLflow accepts; it refuses others to prevent DNS rebinding."""
    known = dict.fromkeys(["localhost", "127.0.0.1", *names])
    return ",".join(f"{name},{name}:*" for name in known)


def compose_help(cluster: Cluster, place: Place) -> str:
    """The README's section on MLflow."""
    folder = place.folder
    bind = "" if cluster.tracking_is_local else f"MLFLOW_BIND={_numeric(cluster.tracking_host)} "
    where = "the driver's machine" if cluster.tracking_is_local else f"{cluster.tracking_host}"
    host = "127.0.0.1" if cluster.tracking_is_local else cluster.tracking_host
    note = LOCAL if cluster.tracking_is_local else BEYOND
    return f"""\
The sweep is mirrored to the MLflow server at <{cluster.tracking_uri}>. If it is unreachable, training continues, and
this command sends the runs later:

```bash
{cluster.command("sync", place)}
```

If you have no server, start one with PostgreSQL on {where}:

```bash
(umask 077; openssl rand -hex 24 > {folder}/{PASSWORD})
{bind}docker compose --file {folder}/mlflow/compose.yaml up --detach --build
```

{note} Without Docker, with the password of the database user `mlflow` in `~/.pgpass`:

```bash
python -m pip install --constraint requirements.lock mlflow psycopg2-binary
export MLFLOW_SERVER_ALLOWED_HOSTS='{allowed_hosts(cluster.tracking_host)}'
{" ".join(command(host, _port(cluster), "postgresql+psycopg2://mlflow@localhost/mlflow", "mlflow-artifacts"))}
```
"""


def _port(cluster: Cluster) -> int:
    return cluster.tracking_port if cluster.tracking_uri.startswith("http://") else PORT


def _numeric(host: str) -> str:
    """Docker binds to addresses, not to host names."""
    if host.replace(".", "").isdigit():
        return host
    return f"\"$(getent ahostsv4 {host} | awk '{{print $1; exit}}')\""
