"""Mixed provenance: which cells have results of which commit, code, device and library versions, if these differ.

A stage's key covers its settings and version, not the commit, device or libraries, so that old results stay valid when
a study grows. With mixed provenance, a difference between two cells may have causes other than their levels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from study.analysis.facts import Origin, StudyFacts
from study.utils import formats

COMMIT_DIGITS = 12
MOST = 6  # cells listed in a sentence


@dataclass(frozen=True)
class Part:
    """The cells with one provenance: `whole` for all of their stages, `some` for only some of them."""

    label: str
    whole: tuple[str, ...]
    some: tuple[str, ...]

    @property
    def sentence_part(self) -> str:
        """The label and the cells, at most `MOST` of them."""
        names = [*self.whole, *(f"{name} (some stages)" for name in self.some)]
        more = f", and {len(names) - MOST} more" if len(names) > MOST else ""
        return f"{self.label} for {', '.join(names[:MOST])}{more}"


def short_commit(commit: str) -> str:
    """Twelve digits; the suffix `-dirty` (uncommitted changes) is kept."""
    digits, dash, dirty = commit.partition("-")
    return digits[:COMMIT_DIGITS] + dash + dirty


def parts(origins: tuple[Origin, ...], label: Callable[[Origin], str]) -> list[Part]:
    """The cells grouped by the label of their origins, in the order of the origins."""
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
    """A sentence for each kind of provenance that differs."""
    ways = (
        ("commits", lambda origin: short_commit(origin.commit)),
        ("versions of the code", lambda origin: origin.code),  # empty where it was not recorded
        ("devices", lambda origin: origin.device),
        ("sets of library versions", _libraries(facts.origins)),
    )
    for noun, label in ways:
        found = [part for part in parts(facts.origins, label) if part.label]
        if len(found) > 1:
            yield f"Results from {len(found)} {noun}: {'; '.join(part.sentence_part for part in found)}."


def _libraries(origins: tuple[Origin, ...]) -> Callable[[Origin], str]:
    """The libraries whose versions differ between origins, with this origin's versions."""
    names = sorted({name for origin in origins for name in origin.versions})
    differing = [name for name in names if len({origin.versions.get(name) for origin in origins}) > 1]
    return lambda origin: ", ".join(f"{name} {origin.versions.get(name, formats.NONE)}" for name in differing)
