"""The signatures of all that a plugin may use, as a page: ``python -m mdmsdk.testing.signatures > FILE``."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main", "page"]

# What a plugin may import, in the order in which one meets it.
_MODULES: tuple[str, ...] = (
    "provider",
    "flow",
    "wire",
    "identifiers",
    "models",
    "settings",
    "logins",
    "rows",
    "refusals",
)
_MODULES += ("search", "paging", "changes", "batch", "rules", "simulator", "testing")
_HEAD = """# Signatures for plugin authors

What a plugin may import, with the first line of what the [API page](api.md) says about it.
Written by `python -m mdmsdk.testing.signatures`; a test holds it.
"""


def page() -> str:
    """The page in Markdown."""
    return "\n".join([_HEAD, *(line for name in _MODULES for line in _module(f"mdmsdk.{name}"))])


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f"## `{name}`\n\n{_first(module)}\n\n```text"
    for public in sorted(module.__all__):
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield from _definition(value, "")
    yield "```\n"


def _definition(value: Any, indent: str) -> Iterator[str]:
    # From the source, so that the page does not depend on how one version of Python writes annotations.
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    yield from _lines(node, value, indent)


def _lines(node: ast.stmt, value: Any, indent: str) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        yield f"{indent}class {node.name}{f'({bases})' if bases else ''}:  # {_first(value)}"
        for inner in node.body:
            yield from _lines(inner, getattr(value, getattr(inner, "name", ""), None), f"{indent}    ")
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if not node.name.startswith(("_", "test_", "pytest_")):
            returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            yield f"{indent}def {node.name}({ast.unparse(node.args)}){returned}: ...  # {_first(value)}"
    elif isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name) and not target.id.startswith("_") and target.id != "model_config":
            yield f"{indent}{ast.unparse(node)}"


def _first(value: Any) -> str:
    return (inspect.getdoc(value) or "").partition("\n")[0]


def main() -> int:
    """Print the page."""
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
