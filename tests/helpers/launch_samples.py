"""One plain request for each kind of cluster."""

from typing import Any

SERVER = "http://mlflow.example.org:5000"
ASKED: dict[str, dict[str, Any]] = {
    "slurm": {"nodes": 2, "gpus": 4, "partition": "gpu", "account": "lab", "tracking_uri": SERVER},
    "kuberay": {"nodes": 3, "gpus": 1, "image": "registry.example.org/study:1", "claim": "shared"},
    "aws": {
        "nodes": 2,
        "gpus": 1,
        "store": "s3://bucket/study",
        "tracking_uri": SERVER,
        "image": "ami-0123456789abcdef0",
    },
    "gcp": {
        "nodes": 2,
        "gpus": 1,
        "store": "gs://bucket/study",
        "tracking_uri": SERVER,
        "project": "my-project",
        "image": "projects/my-project/global/images/study",
    },
    "onprem": {
        "gpus": 2,
        "store": "/shared/store",
        "tracking_uri": SERVER,
        "host": ["10.0.0.1", "10.0.0.2", "node-3"],
        "user": "me",
    },
}
