"""Whether a study's results were all made alike, and which cells came from where if they were not.

A stage's key holds what was asked for and the version of the stage, not the commit, the device or the libraries: old
results stay valid when a study grows. Where they were made differently, a reader must know, for a difference between
two cells may then come from more than their levels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from study.analysis.facts import Origin, StudyFacts
from study.utils import formats

COMMIT_DIGITS = 12
MOST = 6  # cells named in one sentence


@dataclass(frozen=True)
class Part:
    """The cells that were made in one way: `whole` with all their stages, `some` with only some of them."""

    label: str
    whole: tuple[str, ...]
    some: tuple[str, ...]

    @property
    def told(self) -> str:
        """The cells in words, as many as fit a sentence."""
        names = [*self.whole, *(f"{name} (in part)" for name in self.some)]
        more = f", and {len(names) - MOST} more" if len(names) > MOST else ""
        return f"{self.label} for {', '.join(names[:MOST])}{more}"


def short_commit(commit: str) -> str:
    """Twelve digits, and still `-dirty` where there were changes that no commit holds."""
    digits, dash, dirty = commit.partition("-")
    return digits[:COMMIT_DIGITS] + dash + dirty


def parts(origins: tuple[Origin, ...], label: Callable[[Origin], str]) -> list[Part]:
    """The cells by what `label` says of their origins, in the order of the origins."""
    cells: dict[str, dict[str, None]] = {}
    for origin in origins:
        cells.setdefault(label(origin), {}).update(dict.fromkeys(origin.cells))
    found = []
    for name, own in cells.items():
        elsewhere = {cell for other, of_other in cells.items() if other != name for cell in of_other}
        whole = tuple(cell for cell in own if cell not in elsewhere)
        found.append(Part(name, whole, tuple(cell for cell in own if cell in elsewhere)))
    return found


def mixture(facts: StudyFacts) -> Iterator[str]:
    """A sentence for each way in which the results were not made alike; none where all were."""
    ways = (
        ("versions of the code", lambda origin: short_commit(origin.commit)),
        ("kinds of device", lambda origin: origin.device),
        ("sets of libraries", _libraries(facts.origins)),
    )
    for noun, label in ways:
        found = parts(facts.origins, label)
        if len(found) > 1:
            yield f"{len(found)} {noun} are mixed: {'; '.join(part.told for part in found)}."


def _libraries(origins: tuple[Origin, ...]) -> Callable[[Origin], str]:
    """Names the libraries whose versions are not everywhere the same, with the origin's versions."""
    names = sorted({name for origin in origins for name in origin.versions})
    differing = [name for name in names if len({origin.versions.get(name) for origin in origins}) > 1]
    return lambda origin: ", ".join(f"{name} {origin.versions.get(name, formats.NONE)}" for name in differing)
