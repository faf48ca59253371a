"""The documents are true: paths, links, lists, commands and example grids; and they are written in plain English."""

import importlib.util
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import typer
import yaml
from helpers.paths import GRIDS, ROOT

from study.cli.app import app
from study.design.study import load

DOCUMENTS = ["README.md", *(f"{name}/README.md" for name in ("grids", "reports", "study", "study/launch", "tests"))]
DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS)
README_LIMIT = 8 * 1024  # bytes
LONGEST = 30  # words of a sentence, for 90% of the sentences
AVOIDED = [  # personification, and phrases that need a second reading
    *("tells?", "told", "says", "said", "lies", "wants?", "wanted", "knows?", "gone", "hears", "looks at", "asked of"),
    *("stands? in", "have a look", "put aside", "is not possible", "way out", "trips", "cure", "no number any more"),
]
COMMAND = re.compile(r"python -m study [a-z]+[^`\n]*|nox(?: -s [a-z]+)?(?: -- [^`\n]*)?(?=[`\n])")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def module(path: Path) -> ModuleType:
    """A Python file outside packages, imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def fenced(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(document), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """The headings of a Markdown file as links name them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands() -> Iterator[tuple[str, str]]:
    """Every command of every document, with the document: in code blocks, tables and sentences."""
    for document in DOCUMENTS:
        text = text_of(document).replace("\\\n", " ")
        yield from ((document, found.split("  ")[0].strip()) for found in COMMAND.findall(text))


def sentences(document: str) -> list[str]:
    """The sentences outside code, tables, headings and the generated list of files."""
    text = re.sub(r"^```.*?^```|^<!-- files.*?<!-- end.*?$", "", text_of(document), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(\||#).*$", "", text, flags=re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n|\n(?=\s*(?:-|\d+\.) )", text)
    return [part for each in paragraphs for part in re.split(r"(?<=[.!?])\s+(?=\S)", each.strip()) if part]


@DOCUMENT
def test_links_lead_to_files_and_headings(document: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", text_of(document))
    for target in links:
        path, _, heading = target.partition("#")
        file = ((ROOT / document).parent / path if path else ROOT / document).resolve()
        assert file.exists(), target
        assert not heading or heading in anchors(file), target


@DOCUMENT
def test_paths_in_the_text_exist(document: str) -> None:
    """Paths from the root of the repository, written as code."""
    written = re.findall(r"`((?:study|tests|grids|reports)/[\w./-]+)`", text_of(document))
    for path in set(written):
        made_by_a_run = path.startswith("reports/") and not path.startswith("reports/examples")
        placeholder = path.endswith("/NAME.py") or path == "grids/kv-heads.yaml"
        assert made_by_a_run or placeholder or (ROOT / path).exists(), path


@DOCUMENT
def test_python_names_exist(document: str) -> None:
    """Such as `study.load`, in sentences and in code blocks."""
    code = "\n".join([*re.findall(r"`([^`\n]+)`", text_of(document)), *fenced(document, "python")])
    for name in set(re.findall(r"\bstudy(?:\.[A-Za-z_]\w*)+(?=\()", code)):
        pkgutil.resolve_name(name)


def test_every_entry_of_study_has_its_line() -> None:
    table = text_of("study/README.md").split("## Packages")[1].split("\n## ")[0]
    listed = [name for line in re.findall(r"^\| (`.+?) \|", table, flags=re.MULTILINE) for name in line.split(", ")]
    there = {f"{path.name}/" if path.is_dir() else path.name for path in (ROOT / "study").iterdir()}
    assert sorted(name.strip("`") for name in listed if "entry" not in name) == sorted(
        there - {"__pycache__/", "README.md"}
    )


def test_every_module_of_study_has_its_line() -> None:
    """Where this fails: python tests/repository/list_files.py"""
    files = module(ROOT / "tests" / "repository" / "list_files.py")
    assert files.with_list(text_of("study/README.md")) == text_of("study/README.md")


def test_every_folder_of_tests_is_described() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - {"__pycache__"}
    packages = {path.name for path in (ROOT / "study").iterdir() if path.is_dir()}
    assert set(re.findall(r"^\| `(\w+)/`", text_of("tests/README.md"), flags=re.MULTILINE)) == folders - packages


def test_every_report_that_is_committed_is_linked() -> None:
    linked = {name for each in DOCUMENTS for name in re.findall(r"reports/examples/([\w-]+)/report", text_of(each))}
    assert linked == {path.name for path in (ROOT / "reports" / "examples").glob("*/")}


def test_every_grid_is_named() -> None:
    assert set(re.findall(r"\]\((\w+\.yaml)\)", text_of("grids/README.md"))) == {
        path.name for path in GRIDS.glob("*.yaml") if path.stem != "kv-heads"
    }


def test_readme_is_short() -> None:
    assert len(text_of("README.md").encode()) <= README_LIMIT


def test_every_verb_and_every_nox_session_is_in_the_readme() -> None:
    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"python -m study ([a-z]+)", text_of("README.md"))) == verbs
    sessions = set(re.findall(r"^@nox\.session.*?\ndef (\w+)", text_of("noxfile.py"), flags=re.MULTILINE))
    assert set(re.findall(r"nox -s ([a-z]+)", text_of("README.md"))) == sessions
    assert {command.split()[2] for _, command in commands() if command.startswith("nox -s")} == sessions


def test_files_that_the_noxfile_runs_exist() -> None:
    for path in re.findall(r'"((?:tests|grids)/[\w/.]+\.\w+)"', text_of("noxfile.py")):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize(
    ("document", "command"), sorted(set(commands())), ids=lambda value: str(value).replace("/", "-")
)
def test_commands_parse(document: str, command: str) -> None:
    """Each with its options and arguments, as the command line would read it; nothing is run."""
    words = shlex.split(command)
    if words[0] == "nox":
        session, given = (words[2] if len(words) > 2 else ""), words[words.index("--") + 1 :] if "--" in words else []
        if session != "ablate" or not given:
            return  # that the session exists is tested above
        words = ["python", "-m", "study", "run", *given]
    verb, given = words[3], words[4:]
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group | typer.core.TyperGroup)
    found: Any = group.commands[verb]
    needed = [parameter for parameter in found.params if parameter.param_type_name == "argument" and parameter.required]
    arguments = given or ["GRID"] * len(needed)  # a sentence may name the verb alone
    found.make_context(verb, arguments, resilient_parsing="--help" in arguments)


def test_example_grids_load(tmp_path: Path) -> None:
    """Every YAML example: a whole grid, or keys that are added to the one in README.md."""
    examples = [yaml.safe_load(text) for document in DOCUMENTS for text in fenced(document, "yaml")]
    (whole,) = [example for example in examples if "study" in example]
    assert len(examples) >= 5
    for number, example in enumerate(examples):
        search = example.get("design") == "search"
        base = {key: whole[key] for key in ("study", "question", "baseline")} if search else whole
        if "factors" in example:  # the exclusions name those of the whole grid
            base = {key: value for key, value in base.items() if key != "exclude"}
        if example.get("replicates", {}) and "claims" not in example and example is not whole:
            base = base | next(other for other in examples if "claims" in other)
        path = tmp_path / f"example-{number}.yaml"
        path.write_text(yaml.safe_dump({**base, **example}, sort_keys=False))
        load(path)


@DOCUMENT
def test_sentences_are_short(document: str) -> None:
    lengths = sorted((len(sentence.split()), sentence) for sentence in sentences(document))
    long = [sentence for words, sentence in lengths if words >= LONGEST]
    assert len(long) <= len(lengths) // 10, "\n".join(long)


@DOCUMENT
def test_words_are_plain(document: str) -> None:
    found = re.findall(rf"\b(?:{'|'.join(AVOIDED)})\b", " ".join(sentences(document)), flags=re.IGNORECASE)
    assert found == []


def test_ci_runs_the_commands_of_the_tests_readme() -> None:
    documented = [line.removeprefix("$ ") for line in fenced("tests/README.md", "console")[0].splitlines()]
    (sessions,) = re.findall(r"^for session in (.+); do$", text_of(".ci/run"), flags=re.MULTILINE)
    assert [f"nox -s {name}" for name in sessions.split()] == documented
