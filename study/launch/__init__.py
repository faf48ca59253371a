"""Ready files for a study on a Ray cluster: SLURM, KubeRay, AWS, GCP, or hosts of one's own.

Nothing is started, nothing secret is written, and a mistake in what was asked leaves nothing behind.
"""

from study.launch.catalogue import KINDS
from study.launch.write import Launched, write

__all__ = ["KINDS", "Launched", "write"]
