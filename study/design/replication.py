"""Replication studies: a grid with the claims of another study, and seeds of its own.

The grid of a replication is the grid of the original with another name, seed and number of replicates. Its key
`replication` has those of the original, so that the stages of the original can be found in a store.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import yaml

from study.design.grid import Grid, Replicates, ReplicationSpec, TuneSpec
from study.design.study import Study, named_seed, replicate_seed
from study.utils.errors import StudyError

LARGEST = 900_000_000  # first choice; a grid's seed is at most 1,000,000,000
LONGEST_NAME, SUFFIX = 64, "-replication"
MODELINE = "# yaml-language-server:"
Edit = tuple[int, int, str]  # replaces the characters from one position to another


def original_of(study: Study) -> Study | None:
    """The study that this one replicates, with the claims of this one; None if it replicates none."""
    spec = study.grid.replication
    if spec is None:
        return None
    tune = tuning_of(study.grid, spec.replicates)
    own = {"study": spec.of, "seed": spec.seed, "replicates": spec.replicates, "replication": None, "tune": tune}
    space = replace(study.space, tunings=tune.seeds) if study.space and tune else study.space
    return replace(study, grid=study.grid.model_copy(update=own), space=space)


def tuning_of(grid: Grid, replicates: Replicates) -> TuneSpec | None:
    """The tuning of a grid with another number of replicates: one for each of them, if it has one for each."""
    if grid.tune is None or grid.tune.seeds == 1:
        return grid.tune
    return grid.tune.model_copy(update={"seeds": replicates})


def default_name(study: Study) -> str:
    """The name of a replication, as in `quickstart-replication`; that of the study is cut if it is too long."""
    return f"{study.name[: LONGEST_NAME - len(SUFFIX)]}{SUFFIX}"


def check_replicable(study: Study) -> None:
    """Raises StudyError unless the study has claims that replicates can decide."""
    if not study.grid.tested_claims:
        found = (
            "has no claims" if not study.grid.claims else "has only claims on metrics that do not differ by replicate"
        )
        raise StudyError(f"{study.path}: claims: the grid {found}, so a replication could not answer whether they hold")


def write_replication(study: Study, name: str, replicates: int, modeline: bool = True) -> str:
    """The text of a grid that replicates a study: its own text with another name, seed and number of replicates.

    `modeline`: keep the line for editors, whose path is relative to the folder of the grid.
    """
    grid, root = study.grid, yaml.compose(study.source.text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    spec = ReplicationSpec(of=grid.study, seed=grid.seed, replicates=grid.replicates)
    values = {
        "study": _flow(name),
        "replication": _flow(spec.model_dump(mode="json")),
        "seed": str(fresh_seed(study, name, replicates)),
        "replicates": str(replicates),
    }
    text = study.source.text
    edits = [*_edits(root, text, values), *_seeds_edit(study, root, replicates)]
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return _with_origin(text.removeprefix("\ufeff"), study, modeline)


def fresh_seed(study: Study, name: str, replicates: int) -> int:
    """A seed from the name, of which no replicate has a seed of the study or of the study that it replicates."""
    taken, base = set(_seeds(study)), named_seed(f"replication={name}") % LARGEST
    return next(seed for seed in count(base) if taken.isdisjoint(_replicate_seeds(seed, replicates)))


def _seeds(study: Study) -> Iterator[int]:
    yield from _replicate_seeds(study.grid.seed, study.grid.most_replicates)
    if (original := original_of(study)) is not None:
        yield from _seeds(original)


def _replicate_seeds(base: int, replicates: int) -> Iterator[int]:
    return (replicate_seed(base, replicate) for replicate in range(1, replicates + 1))


def _edits(root: yaml.MappingNode, text: str, values: dict[str, str]) -> Iterator[Edit]:
    """The values of keys that the grid has are replaced, and the other keys follow its name."""
    nodes = {key.value: (key.start_mark, node.end_mark.index) for key, node in root.value}
    added = [f"{name}: {value}" for name, value in values.items() if name not in nodes]
    indent = " " * nodes["study"][0].column
    for name in nodes.keys() & values.keys():
        new = [f"{name}: {values[name]}", *(added if name == "study" else ())]
        start, end = nodes[name][0].index, nodes[name][1]
        if root.flow_style:
            yield start, end, ", ".join(new)
        else:
            yield start, _end_of_line(text, start, end), f"\n{indent}".join(new)


def _seeds_edit(study: Study, root: yaml.MappingNode, replicates: int) -> Iterator[Edit]:
    """The number of tunings, where it is that of the replicates."""
    if study.grid.tune is None or study.grid.tune.seeds == 1:
        return
    node: yaml.Node = root
    for name in ("tune", "seeds"):
        node = next(value for key, value in node.value if key.value == name)
    yield node.start_mark.index, node.end_mark.index, str(replicates)


def _end_of_line(text: str, start: int, end: int) -> int:
    """The end of the last line of a value, its comment included, without the blank lines and comments below it."""
    lines = text[start:end].splitlines(keepends=True)
    while not lines[-1].strip() or (len(lines) > 1 and lines[-1].lstrip().startswith("#")):
        lines.pop()
    line_end = text.find("\n", start + len("".join(lines).rstrip()))
    return line_end if line_end >= 0 else len(text)


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1_000, sort_keys=False).removesuffix("\n...\n").strip()


def _with_origin(text: str, study: Study, modeline: bool) -> str:
    """The origin as a comment, below the line for editors."""
    first, _, rest = text.partition("\n")
    head, rest = (f"{first}\n" if modeline else "", rest) if first.startswith(MODELINE) else ("", text)
    return (
        f"{head}# A replication of the study {study.name}, written by `study replicate`: the same claims, new seeds.\n"
        f"# It shares no result with that study. The other comments are from its grid.\n{rest}"
    )
