"""Whether the verdicts of the replicated study held again, in one sentence."""

from collections.abc import Iterator

from study.analysis.analysis import Analysis
from study.analysis.facts import ReplicationFacts
from study.utils.text import plural

Pair = tuple[int, str, str]  # the number of a claim, its verdict in the original, and its verdict here


def sentence(analysis: Analysis) -> str:
    """As in: 1 of 2 verdicts of the study x held; not held: claim 2 (supported there, undecided here). Empty if this
    study replicates none.
    """
    original = analysis.facts.replication
    if original is None:
        return ""
    if not any(original.verdicts):
        return f"the results of the study {original.study} are not in this store, so no verdicts can be compared."
    pairs = list(_pairs(analysis, original))
    decided = [pair for pair in pairs if pair[1] != "undecided"]
    held = sum(there == here for _, there, here in decided)
    text = f"{held} of {plural(len(decided), 'verdict')} of the study {original.study} held"
    if not decided:
        text = f"no claim was decided in the study {original.study}"
    others = [f"claim {number} ({there} there, {here} here)" for number, there, here in decided if there != here]
    text += f"; not held: {', '.join(others)}" if others else ""
    new = [f"claim {number} ({here} here)" for number, there, here in pairs if there == "undecided"]
    text += f"; undecided there: {', '.join(new)}" if new else ""
    missing = len(original.verdicts) - len(pairs)
    text += f"; {plural(missing, 'verdict')} of the original not in this store" if missing else ""
    return f"{text}. Both studies are judged by the claims of this one, each on its own results alone."


def _pairs(analysis: Analysis, original: ReplicationFacts) -> Iterator[Pair]:
    tested = [number for number, claim in enumerate(analysis.facts.claims) if claim.by_replicate]
    for position, there in zip(tested, original.verdicts, strict=True):
        if there is not None:
            yield position + 1, there, str(analysis.verdicts["verdict"].iloc[position])
