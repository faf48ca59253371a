"""What a design is, in lines for people."""

from collections.abc import Iterator

from study.design.grid import SampleSpec
from study.design.kinds.aliases import Aliases


def alias_lines(aliases: Aliases) -> Iterator[str]:
    """The alias table; letters stand for factors, + is a factor's other level and - the baseline's."""
    share = f"{aliases.cells:,} of {2 ** len(aliases.factors):,} combinations"
    yield f"{share}, resolution {aliases.resolution}: {aliases.meaning}"
    yield ", ".join(f"{letter} {factor}" for letter, factor in aliases.letters.items())
    yield f"generators {', '.join(aliases.generators)}; defining relation {aliases.relation}"
    yield "aliases (+ is a factor's other level, - the baseline's): " + ("; ".join(aliases.aliased) or "none")
    if aliases.aliased:
        yield f"without alias among main effects and two-factor interactions: {', '.join(aliases.clear) or 'none'}"


def sample_line(sample: SampleSpec, product: int, seed: int) -> str:
    """How much of the product is run, and how it was chosen."""
    how = {"space_filling": "spread over the product", "random": "drawn at random"}[sample.method]
    return f"{sample.cells:,} of {product:,} combinations, {how} (seed {seed}); a larger sample keeps these"
