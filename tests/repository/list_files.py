"""The list of files in study/README.md, from the first sentence of each module's docstring.

python tests/repository/list_files.py    writes it again
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "study" / "README.md"
BEGIN, END = "<!-- files: written by tests/repository/list_files.py -->\n", "<!-- end of files -->\n"


def listed() -> str:
    """Markdown: a heading per package of study/, and a line per module."""
    packages = sorted(path for path in (ROOT / "study").iterdir() if (path / "__init__.py").is_file())
    return "".join(
        f"\n**{package.name}/** {_purpose(package / '__init__.py')}\n\n{_lines(package)}" for package in packages
    )


def _lines(package: Path) -> str:
    modules = sorted(path for path in package.rglob("*.py") if path != package / "__init__.py")
    return "".join(f"- `{_name(path, package)}` {_purpose(path)}\n" for path in modules)


def _name(module: Path, package: Path) -> str:
    return module.relative_to(package).as_posix().removesuffix("__init__.py")


def _purpose(module: Path) -> str:
    """The first sentence of the docstring, on one line, as Markdown."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z])", first)[0].replace("|", r"\|").replace("<", "&lt;")


def with_list(text: str) -> str:
    """The README with the list in its place."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{listed()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    README.write_text(with_list(README.read_text(encoding="utf-8")), encoding="utf-8")
