"""Replications: how many replicates one needs, and the verdicts of the study that is replicated."""

from dataclasses import dataclass

from study.design.replication import original_of
from study.planning.claim_power import claim_powers
from study.planning.state import StudyState


@dataclass(frozen=True)
class Original:
    """A replicated study: the verdict on each claim that replicates decide, None while its trials are missing."""

    name: str
    seed: int
    verdicts: tuple[str | None, ...]
    shared: int  # stages that both studies have


def original(state: StudyState) -> Original | None:
    """The study that this one replicates, judged again with the claims of this one; None if it replicates none.

    Raises StoreError.
    """
    found = original_of(state.study)
    if found is None:
        return None
    other = StudyState.look(found, state.store, state.contents, state.observed.accept_mixed_data)
    verdicts = tuple(power.verdict for power in claim_powers(other) if power.claim.by_replicate)
    return Original(found.name, found.grid.seed, verdicts, len(state.stages.keys() & other.stages.keys()))


def default_replicates(state: StudyState) -> int:
    """Of a replication of this study: its own number, and enough for each claim that can be decided at reasonable cost.

    Enough for 80 % power if the true difference equals the estimate and the SD its estimate. Without results, its own
    number.
    """
    needed = [power.needed.middle for power in claim_powers(state) if power.needed is not None]
    return max(state.study.grid.most_replicates, *(number for number in needed if number is not None), 2)
