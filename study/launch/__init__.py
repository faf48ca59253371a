"""Writes the files that run a study on a Ray cluster: SLURM, KubeRay, AWS, GCP, or your own hosts.

Starts nothing and writes no secrets. Invalid options raise an error before any file is written.
"""

from study.launch.catalogue import KINDS
from study.launch.write import Launched, write

__all__ = ["KINDS", "Launched", "write"]
