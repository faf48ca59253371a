"""When the claims of a report were registered; see `study.design.registration`."""

from study.analysis.results import Results
from study.design import registration
from study.design.comparison import Factors
from study.design.registration import Entry, Standing


def standings(results: Results, factors: Factors) -> list[Standing]:
    """When each claim was registered."""
    return registration.standings(present(results, factors), results.facts.registered)


def sentence(results: Results, factors: Factors) -> str:
    """When the claims were written and how the replicates changed, without a full stop; empty without claims."""
    return registration.sentence(present(results, factors), results.facts.registered)


def present(results: Results, factors: Factors) -> Entry:
    """The claims and replicates of the report, and the number of its results."""
    facts, without = results.facts, ["missing", "failed", "excluded"]  # trials on other data have a result too
    return Entry(
        time="",
        results=int((~results.trials["status"].isin(without)).sum()),
        minimum=facts.replicates,
        maximum=facts.replicates_until or facts.replicates,
        claims=tuple(registration.registered(claim, factors, facts.failures) for claim in facts.claims),
    )
