"""The digest of a source file's content."""

import ast
import contextlib
import hashlib
from pathlib import Path
from typing import Any


def content_digest(path: Path) -> str:
    """SHA-256 of a file. Comments, docstrings and formatting of Python files do not count, since they change no result.

    Raises OSError.
    """
    data = path.read_bytes()
    if path.suffix == ".py":
        with contextlib.suppress(SyntaxError):  # while it is edited: every byte counts
            data = repr(_plain(ast.parse(data))).encode()
    return hashlib.sha256(data).hexdigest()


def _plain(node: Any) -> Any:
    """A syntax tree as lists. Empty fields are left out: versions of Python differ in those."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
    if _has_docstring(node):
        fields["body"] = fields["body"][1:]
    return [type(node).__name__, *((name, _plain(value)) for name, value in fields.items())]


def _has_docstring(node: ast.AST) -> bool:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
