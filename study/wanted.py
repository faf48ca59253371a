"""Which trials a study wants, given what is stored of it.

Everything that looks at a study's trials asks here, so that plan, sweep, tracking and report agree.
"""

from study.design import Study, Trial, expand
from study.store import Store


def wanted(study: Study, store: Store) -> list[Trial]:
    """All trials that are wanted now, replicate by replicate; more may be once these are stored."""
    return expand(study)
