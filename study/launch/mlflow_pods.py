"""MLflow with PostgreSQL as pods, reachable only from inside the Kubernetes cluster."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from study.launch.mlflow_server import allowed_hosts, command
from study.launch.text import as_yaml

MLFLOW, POSTGRES = "study-mlflow", "study-postgres"  # POSTGRES is also the Secret with its password
PASSWORD = {"secretKeyRef": {"name": POSTGRES, "key": "password"}}


def manifest(namespace: str, image: str) -> str:
    """Volumes, pods and services; `image` has MLflow."""
    mlflow, postgres = _mlflow(namespace, image), _postgres()
    return as_yaml(
        "MLflow with PostgreSQL, reachable only from inside the cluster; see README.md.",
        *_server(POSTGRES, namespace, postgres, port=5432, user=999),
        *_server(MLFLOW, namespace, mlflow, port=5000, user=1000),
    )


def _postgres() -> dict[str, Any]:
    return {
        "name": "postgres",
        "image": "postgres:17",
        "env": [
            {"name": "POSTGRES_USER", "value": "mlflow"},
            {"name": "POSTGRES_DB", "value": "mlflow"},
            {"name": "POSTGRES_PASSWORD", "valueFrom": PASSWORD},
            {"name": "PGDATA", "value": "/data/postgres"},  # the root of a volume may contain lost+found
        ],
        "ports": [{"containerPort": 5432}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }


def _mlflow(namespace: str, image: str) -> dict[str, Any]:
    return {
        "name": "mlflow",
        "image": image,
        "command": command("0.0.0.0", 5000, f"postgresql+psycopg2://mlflow@{POSTGRES}/mlflow", "/data"),
        "env": [
            {"name": "PGPASSWORD", "valueFrom": PASSWORD},
            {"name": "MLFLOW_SERVER_ALLOWED_HOSTS", "value": allowed_hosts(MLFLOW, f"{MLFLOW}.{namespace}")},
            {"name": "MLFLOW_DISABLE_TELEMETRY", "value": "true"},
        ],
        "ports": [{"containerPort": 5000}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }


def _server(name: str, namespace: str, container: Mapping[str, Any], port: int, user: int) -> list[dict[str, Any]]:
    """A volume, one pod, and a service."""
    labels, metadata = {"app": name}, {"name": name, "namespace": namespace}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    pod = {
        "containers": [dict(container)],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": user, "fsGroup": user},
    }
    deployment = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},  # never two pods on one volume
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {"selector": labels, "ports": [{"port": port, "targetPort": port}]}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


def help_text(namespace: str, tracking_uri: str, folder: PurePosixPath, sync: str) -> str:
    """The README's section on MLflow. `sync`: the command that sends what is missing."""
    kubectl = f"kubectl --namespace {namespace}"
    return f"""\
The sweep is mirrored to the MLflow server at <{tracking_uri}>. If it is unreachable, training continues, and
this command sends the runs later:

```bash
{sync}
```

`mlflow.yaml` starts a server with PostgreSQL, reachable only from inside the cluster:

```bash
{kubectl} create secret generic {POSTGRES} --from-literal=password="$(openssl rand -hex 24)"
{kubectl} apply --filename {folder}/mlflow.yaml
{kubectl} port-forward service/{MLFLOW} 5000  # http://localhost:5000
```
"""
