"""From a grid and a few options to a folder of files: all checked first, then written."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from study.design import study as design
from study.design.yaml_file import did_you_mean
from study.launch import catalogue, readme
from study.launch.cluster import OWN_DATA, Cluster, Place, Steps
from study.planning import plan
from study.utils.errors import StudyError
from study.vit import subject

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Launched:
    """What was written, and how to go on."""

    folder: Path
    files: tuple[str, ...]
    steps: Steps
    warnings: tuple[str, ...]


def write(
    kind: str, grid: Path, asked: Mapping[str, Any], folder: Path | None = None, root: Path = ROOT, force: bool = False
) -> Launched:
    """Write the files that run a study on a kind of cluster; `asked` are that kind's options by name.

    `folder` (default: launch/STUDY-KIND) lies in the repository at `root`. Writing the same again changes nothing;
    `force` writes over these files, and no others, where they have other content.

    Raises StudyError for an unknown kind or option, a value that is not possible, a grid that does not load or asks
    for more than a machine has, a folder outside the repository, or one that holds these files with other content.
    """
    cluster = read(kind, asked)
    study = design.load(grid)
    _check_fits(study, cluster)
    datasets = tuple(plan.datasets(study))
    for name in datasets:
        if not name.startswith(OWN_DATA):  # own ones need not lie on this machine
            subject.describe(name)
    folder = (folder or root / "launch" / f"{study.name}-{kind}").resolve()
    place = Place(
        study=study.name,
        grid=grid.read_bytes().decode(),
        folder=_inside(folder, root.resolve()),
        ray=_locked("ray", root),
        datasets=datasets,
    )
    steps = cluster.steps(place)
    files = {
        "README.md": readme.text(cluster, place, steps),
        "grid.yaml": place.grid,
        **cluster.files(place),
    }
    _put(folder, files, force)
    return Launched(folder, tuple(files), steps, cluster.warnings())


def read(kind: str, asked: Mapping[str, Any]) -> Cluster:
    """The options of a kind of cluster, checked. Raises StudyError naming the option."""
    model = catalogue.find(kind)
    try:
        return model.model_validate(dict(asked))
    except ValidationError as error:
        raise StudyError(f"launch {kind}: {_complaint(error.errors(include_url=False)[0], model)}") from None


def _complaint(item: Any, model: type[Cluster]) -> str:
    names = [name.replace("_", "-") for name in model.model_fields]
    option = str(item["loc"][0]).replace("_", "-") if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        return f"--{option} is none of its options; {did_you_mean(option, names)}"
    if item["type"] == "missing":
        return f"--{option} is missing: {model.model_fields[str(item['loc'][0])].description}"
    if item["type"] == "value_error":
        return f"--{option}: {item['ctx']['error']}" if option else str(item["ctx"]["error"])
    must = item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"--{option}: {item['input']!r} is not possible; it must be {must}"


def _check_fits(study: design.Study, cluster: Cluster) -> None:
    """A stage that fits on no machine would wait for ever."""
    wanted = study.grid.resources
    if cluster.cpus_per_node is not None and wanted.cpu > cluster.cpus_per_node:
        raise StudyError(
            f"{study.path}: resources.cpu: one trial takes {wanted.cpu:g} processors, but a machine has "
            f"{cluster.cpus_per_node}; ask for fewer, or give larger machines with --cpus or --machine"
        )
    if wanted.gpu is not None and wanted.gpu > cluster.gpus:
        raise StudyError(
            f"{study.path}: resources.gpu: one trial takes {wanted.gpu:g} GPUs, but a machine has {cluster.gpus}; "
            "ask for fewer, or give more with --gpus"
        )


def _inside(folder: Path, root: Path) -> PurePosixPath:
    if folder == root or not folder.is_relative_to(root):
        raise StudyError(f"launch: --output {folder} must be a folder in the repository {root}: the machines get that")
    relative = PurePosixPath(folder.relative_to(root).as_posix())
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/-]*", str(relative)):
        raise StudyError(f"launch: --output {relative} can have letters, digits, '.', '_', '-' and '/' only")
    return relative


def _locked(package: str, root: Path) -> str:
    lock = root / "requirements.lock"
    try:
        found = re.search(rf"^{package}==(\S+)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        raise StudyError(f"launch: {lock} does not pin {package}; run this from a checkout of the repository")
    return found[1]


def _put(folder: Path, files: Mapping[str, str], force: bool) -> None:
    content = {name: text.encode() for name, text in files.items()}
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"launch: {folder} is a file; name another folder with --output")
    other = [name for name in content if (folder / name).exists() and not _holds(folder / name, content[name])]
    if other and not force:
        raise StudyError(
            f"launch: {folder} holds other content ({', '.join(sorted(other))}); "
            "write over it with --force, or name another folder with --output"
        )
    for name, text in content.items():
        if (folder / name).is_symlink():
            (folder / name).unlink()  # what it points to is not ours
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
