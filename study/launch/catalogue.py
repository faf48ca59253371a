"""The table of launchers. A new kind of cluster is one file in this folder and one line here."""

import importlib
from collections.abc import Mapping
from typing import cast

from study.design.yaml_file import did_you_mean
from study.launch.cluster import Cluster
from study.utils.errors import StudyError

KINDS: Mapping[str, str] = {
    "slurm": "study.launch.slurm:Slurm",
    "kuberay": "study.launch.kuberay:KubeRay",
    "aws": "study.launch.aws:Aws",
    "gcp": "study.launch.gcp:Gcp",
    "onprem": "study.launch.onprem:OnPrem",
}


def find(kind: str) -> type[Cluster]:
    """The launcher of a kind of cluster. Raises StudyError for an unknown kind."""
    if kind not in KINDS:
        raise StudyError(f"launch: unknown kind of cluster {kind!r}; {did_you_mean(kind, KINDS)}")
    module, _, name = KINDS[kind].partition(":")
    return cast(type[Cluster], getattr(importlib.import_module(module), name))
