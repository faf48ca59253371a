"""The command that writes a replication of a study with undecided claims."""

from study.planning.claim_power import claim_powers
from study.planning.replicated import default_replicates
from study.planning.state import StudyState
from study.utils.command_line import Invocation
from study.utils.text import plural


def suggested_replication(state: StudyState, invocation: Invocation) -> str:
    """One sentence; empty unless all trials of a claim have ended and replicates left it undecided.

    The command has the number of replicates if those of the study are adaptive, because a replication has a fixed one.
    """
    undecided = sum(power.verdict == "undecided" and power.claim.by_replicate for power in claim_powers(state))
    if not undecided:
        return ""
    number = ("--replicates", str(default_replicates(state))) if state.study.grid.adaptive else ()
    command = invocation.command("replicate", *number)
    return f"{plural(undecided, 'undecided claim')}; to write a study that tests the claims with new seeds: {command}"
