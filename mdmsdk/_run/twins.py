"""Writes the sync classes from the async ones: ``python -m mdmsdk._run.twins``. A test compares them.

A sync class has the public methods, signatures and docstrings of its async original, and drives that one.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[1]
_HOMES = {
    "AsyncMdmClient": "client",
    "AsyncMdmFederation": "federation",
    "AsyncStore": "store",
    "AsyncDirectory": "directory",
}
_MADE = {f"type[{name}]": name for name in _HOMES}
TWINS = {f"{home}/aio.py": f"{home}/sync.py" for home in _HOMES.values()}
_WORDS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\ba(?=close\b|closing\b)", ""),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\bconnect_async\b", "connect"),
    (r"\.aio\b", ".sync"),
    (r"\b(in|The) async\b", r"\1 sync"),
    (r"\bmany tasks\b", "many threads"),
]
_VERBATIM = {"__repr__", "__aenter__", "__aexit__"}


def sync_twin(text: str) -> str:
    """The sync version of an async module's text."""
    module = ast.parse(text)
    original = next(
        node for node in module.body if isinstance(node, ast.ClassDef) and node.name.startswith("Async")
    )
    inner = [f"class _Inner({original.name}):", "    _waits = waits_sync"]
    members = [
        f"class {_in_sync(original.name)}(Facade):",
        f'    """{_docstring(original)}"""',
        "    _inner: _Inner",
    ]
    needed = {
        "mdmsdk._run": "waits_sync",
        "mdmsdk._run.facade": "Facade",
        "mdmsdk._run.waits_sync": "drive, iterate",
        f"mdmsdk.{_HOMES[original.name]}.aio": original.name,
    }
    for node in original.body:
        if isinstance(node, ast.AnnAssign) and (made := _MADE.get(ast.unparse(node.annotation))):
            inner.append(f"    {ast.unparse(node.target)} = _Inner{made[5:]}")
            needed[f"mdmsdk.{_HOMES[made]}.sync"] = f"_Inner as _Inner{made[5:]}"
        members += _member(node, text, _docstring(original))
    code = "\n".join(inner + [line for line in members if not line.lstrip().startswith('"""')])
    lines = [f'"""{_docstring(module)}"""', "from __future__ import annotations", *_imports(module, code)]
    lines += [f"from {place} import {names}" for place, names in needed.items()]
    return "\n".join([*lines, *inner, *members]) + "\n"


def _in_sync(text: str) -> str:
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text)
    return text


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return _in_sync(ast.get_docstring(node, clean=False) or "")


def _member(node: ast.stmt, text: str, documented: str) -> Iterator[str]:
    """The lines of one member of the sync class."""
    if isinstance(node, ast.AnnAssign):
        name, kind = ast.unparse(node.target), _in_sync(ast.unparse(node.annotation))
        if not name.startswith("_"):
            yield "    @property"
            yield f"    def {name}(self) -> {kind}:"
            *_, described = re.findall(rf"^ +{name}: (.+)$", documented, re.MULTILINE)
            yield f'        """{described[0].upper()}{described[1:]}"""'
            yield f"        return {_shown(f'self._inner.{name}', kind)}"
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if node.name in _VERBATIM:
            yield from _in_sync("    " + (ast.get_source_segment(text, node) or "")).splitlines()
        elif node.name == "__init__" or not node.name.startswith("_"):
            yield from (f"    @{ast.unparse(decorator)}" for decorator in node.decorator_list)
            result = ast.unparse(node.returns) if node.returns else "None"
            arguments = _in_sync(ast.unparse(node.args))
            yield f"    def {_in_sync(node.name)}({arguments}) -> {_in_sync(result)}:"
            if ast.get_docstring(node):
                yield f'        """{_docstring(node)}"""'
            returned = "" if node.name == "__init__" else "return "
            yield f"        {returned}{_call(node, result)}"


def _call(node: ast.FunctionDef | ast.AsyncFunctionDef, result: str) -> str:
    """The call that a sync method passes on."""
    passed = [_passed(argument) for argument in node.args.args[1:]]
    passed += [f"*{node.args.vararg.arg}"] if node.args.vararg else []
    passed += [f"{argument.arg}={_passed(argument)}" for argument in node.args.kwonlyargs]
    passed += [f"**{node.args.kwarg.arg}"] if node.args.kwarg else []
    arguments = ", ".join(passed)
    if node.name == "__init__":
        return f"self._adopt(_Inner({arguments}))"
    if result == "Self":
        return f"cls._around(_Inner.{node.name}({arguments}))"
    if any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
        return f"self._inner.{node.name}"
    call = f"self._inner.{node.name}({arguments})"
    if result.startswith("AsyncIterator"):
        return f"iterate({call})"
    if isinstance(node, ast.AsyncFunctionDef):
        return f"drive(lambda: {call})" if passed else f"drive(self._inner.{node.name})"
    return _shown(call, _in_sync(result))


def _passed(argument: ast.arg) -> str:
    """An argument as the async class takes it."""
    kind = ast.unparse(argument.annotation) if argument.annotation else ""
    if "AsyncMdmClient" in kind:
        return f"[client._inner for client in {argument.arg}]"
    if "AsyncStore" in kind:
        return f"{argument.arg}._inner" + ("" if kind == "AsyncStore" else f" if {argument.arg} else None")
    return argument.arg


def _shown(value: str, kind: str) -> str:
    """A value of the async class as the sync one gives it."""
    if kind in {"MdmClient", "MdmFederation"}:
        return f"{kind}._around({value})"
    if kind.endswith(" | None") and f"Async{kind.removesuffix(' | None')}" in _HOMES:
        return f"None if {value} is None else {kind.removesuffix(' | None')}._around({value})"
    if kind == "dict[str, MdmClient]":
        return f"{{name: MdmClient._around(client) for name, client in {value}.items()}}"
    return value


def _imports(module: ast.Module, code: str) -> Iterator[str]:
    """The imports of the original that the sync class needs."""
    for node in module.body:
        if isinstance(node, ast.If):
            yield "if TYPE_CHECKING:"
            yield from (f"    {line}" for inner in node.body for line in _import(inner, code))
        else:
            yield from _import(node, code)


def _import(node: ast.stmt, code: str) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module != "__future__":
        names = [_in_sync(ast.unparse(alias)) for alias in node.names]
        needed = [name for name in names if name == "TYPE_CHECKING" or re.search(rf"\b{name}\b", code)]
        if needed:
            yield _in_sync(f"from {node.module} import {', '.join(needed)}")


if __name__ == "__main__":
    written = [PACKAGE / twin for twin in TWINS.values()]
    for original, twin in TWINS.items():
        (PACKAGE / twin).write_text(sync_twin((PACKAGE / original).read_text()))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", *written], check=True)  # noqa: S603
