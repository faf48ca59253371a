"""Writes the files of a launch: checks the grid and all options first."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from study.design.study import Study, load
from study.design.yaml_file import did_you_mean
from study.launch import catalogue, readme
from study.launch.cluster import OWN_DATA, Cluster, Place, Steps
from study.planning import plan
from study.utils.errors import StudyError
from study.utils.text import plural
from study.vit import subject

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Launched:
    """The files written, and the next steps."""

    folder: Path
    root: Path  # of the repository, where the commands of `steps` are run
    files: tuple[str, ...]
    steps: Steps
    warnings: tuple[str, ...]


def write(
    kind: str,
    grid: Path,
    options: Mapping[str, Any],
    folder: Path | None = None,
    root: Path = ROOT,
    force: bool = False,
) -> Launched:
    """Write the files that run a study on a kind of cluster; `options` are the fields of its launcher.

    `folder` (default: launch/STUDY-KIND) must be in the repository at `root`. Writing the same files again changes
    nothing; `force` overwrites these files, and no others, if their content differs.

    Raises StudyError for an unknown kind or option, an invalid value, an invalid grid or one that requests more than a
    machine has, a folder outside the repository, or existing files with different content.
    """
    cluster = read(kind, options)
    study = load(grid)
    _check_fits(study, cluster)
    datasets = tuple(plan.datasets(study))
    for name in datasets:
        if not name.startswith(OWN_DATA):  # own data may be missing on this machine
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
    _write_files(folder, files, force)
    return Launched(folder, root.resolve(), tuple(files), steps, cluster.warnings())


def read(kind: str, options: Mapping[str, Any]) -> Cluster:
    """Validate the options of a kind of cluster. Raises StudyError that names the option."""
    model = catalogue.find(kind)
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        raise StudyError(f"launch {kind}: {_describe(error.errors(include_url=False)[0], model)}") from None


def _describe(item: Any, model: type[Cluster]) -> str:
    names = [name.replace("_", "-") for name in model.model_fields]
    option = str(item["loc"][0]).replace("_", "-") if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        return f"unknown option --{option}; {did_you_mean(option, names)}"
    if item["type"] == "missing":
        return f"--{option} is missing: {model.model_fields[str(item['loc'][0])].description}"
    if item["type"] == "value_error":
        return f"--{option}: {item['ctx']['error']}" if option else str(item["ctx"]["error"])
    must = item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"--{option}: invalid value {item['input']!r}: must be {must}"


def _check_fits(study: Study, cluster: Cluster) -> None:
    """A trial that fits on no machine would never start."""
    requested = study.grid.resources
    if cluster.cpus_per_node is not None and requested.cpu > cluster.cpus_per_node:
        raise StudyError(
            f"{study.path}: resources.cpu: a trial requests {plural(requested.cpu, 'CPU')}, but a machine has "
            f"{cluster.cpus_per_node}; request fewer, or use larger machines with --cpus or --machine"
        )
    if requested.gpu is not None and requested.gpu > cluster.gpus:
        raise StudyError(
            f"{study.path}: resources.gpu: a trial requests {plural(requested.gpu, 'GPU')}, but a machine has "
            f"{cluster.gpus}; request fewer, or add GPUs with --gpus"
        )


def _inside(folder: Path, root: Path) -> PurePosixPath:
    if folder == root or not folder.is_relative_to(root):
        raise StudyError(f"launch: --output {folder} must be in the repository {root}, which is copied to the machines")
    relative = PurePosixPath(folder.relative_to(root).as_posix())
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/-]*", str(relative)):
        raise StudyError(f"launch: --output {relative} must consist of letters, digits, '.', '_', '-' and '/'")
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


def _write_files(folder: Path, files: Mapping[str, str], force: bool) -> None:
    content = {name: text.encode() for name, text in files.items()}
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"launch: {folder} is a file; choose another folder with --output")
    other = [name for name in content if (folder / name).exists() and not _has_content(folder / name, content[name])]
    if other and not force:
        raise StudyError(
            f"launch: files in {folder} have different content ({', '.join(sorted(other))}); "
            "overwrite them with --force, or choose another folder with --output"
        )
    for name in content:
        if not (folder / name).parent.resolve().is_relative_to(folder):
            raise StudyError(f"launch: {(folder / name).parent} is a link out of {folder}; remove it")
    for name, text in content.items():
        if (folder / name).is_symlink():
            (folder / name).unlink()  # do not write to its target
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)


def _has_content(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content
