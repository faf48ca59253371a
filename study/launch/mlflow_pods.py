"""MLflow with PostgreSQL behind it as pods, reached from inside the Kubernetes cluster only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from study.launch.mlflow_server import allowed_hosts, command
from study.launch.text import as_yaml

if TYPE_CHECKING:
    from study.launch.cluster import Place
    from study.launch.kuberay import KubeRay

MLFLOW, POSTGRES = "study-mlflow", "study-postgres"  # POSTGRES is also the Secret with its password
PASSWORD = {"secretKeyRef": {"name": POSTGRES, "key": "password"}}


def manifest(cluster: KubeRay) -> str:
    """Volumes, pods and services."""
    mlflow, postgres = _mlflow(cluster), _postgres()
    return as_yaml(
        "MLflow with PostgreSQL behind it, inside the cluster only; see README.md.",
        *_server(POSTGRES, cluster.namespace, postgres, port=5432, user=999),
        *_server(MLFLOW, cluster.namespace, mlflow, port=5000, user=1000),
    )


def _postgres() -> dict[str, Any]:
    return {
        "name": "postgres",
        "image": "postgres:17",
        "env": [
            {"name": "POSTGRES_USER", "value": "mlflow"},
            {"name": "POSTGRES_DB", "value": "mlflow"},
            {"name": "POSTGRES_PASSWORD", "valueFrom": PASSWORD},
            {"name": "PGDATA", "value": "/data/postgres"},  # a volume's root may hold lost+found
        ],
        "ports": [{"containerPort": 5432}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }


def _mlflow(cluster: KubeRay) -> dict[str, Any]:
    return {
        "name": "mlflow",
        "image": cluster.image,
        "command": command("0.0.0.0", 5000, f"postgresql+psycopg2://mlflow@{POSTGRES}/mlflow", "/data"),
        "env": [
            {"name": "PGPASSWORD", "valueFrom": PASSWORD},
            {"name": "MLFLOW_SERVER_ALLOWED_HOSTS", "value": allowed_hosts(MLFLOW, f"{MLFLOW}.{cluster.namespace}")},
            {"name": "MLFLOW_DISABLE_TELEMETRY", "value": "true"},
        ],
        "ports": [{"containerPort": 5000}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }


def _server(name: str, namespace: str, container: Mapping[str, Any], port: int, user: int) -> list[dict[str, Any]]:
    """A volume, one pod, and a name inside the cluster."""
    labels, metadata = {"app": name}, {"name": name, "namespace": namespace}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    pod = {
        "containers": [dict(container)],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": user, "fsGroup": user},
    }
    deployment = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},  # two pods never share the volume
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {"selector": labels, "ports": [{"port": port, "targetPort": port}]}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


def help_text(cluster: KubeRay, place: Place) -> str:
    """The README's section on the server."""
    kubectl = f"kubectl --namespace {cluster.namespace}"
    return f"""\
The sweep is mirrored in the MLflow server at <{cluster.tracking_uri}>. While it cannot be reached, training goes on
and `python -m study sync` delivers later. `mlflow.yaml` starts one with PostgreSQL behind it, reached from inside the
cluster only:

```bash
{kubectl} create secret generic {POSTGRES} --from-literal=password="$(openssl rand -hex 24)"
{kubectl} apply --filename {place.folder}/mlflow.yaml
{kubectl} port-forward service/{MLFLOW} 5000  # http://localhost:5000
```
"""
