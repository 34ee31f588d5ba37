"""What the sources of a plugin import: vendor code describes, core performs."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PERFORMING", "imports", "performing", "within"]

PERFORMING = frozenset(
    {
        *("anyio", "asyncio", "concurrent", "curio", "gevent", "multiprocessing", "subprocess", "threading"),
        *("time.sleep", "trio", "_thread", "aiohttp", "http.client", "httpx", "httpx2", "niquests"),
        *("pycurl", "requests", "selectors", "socket", "ssl", "tornado", "urllib.request", "urllib3"),
    }
)
"""Sockets, threads, processes, event loops and sleep, which nothing that describes a vendor may use."""


def within(name: str, prefix: str) -> bool:
    """Whether a dotted name is another one or lies below it."""
    return name == prefix or name.startswith(f"{prefix}.")


def _is_typing_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imports(source: str, package: str) -> Iterator[str]:
    """Dotted names that a module imports when it runs, those inside functions included.

    Args:
        source: the module's text.
        package: the package that it lies in.
    """
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and _is_typing_block(node):
            todo.extend(node.orelse)
            continue
        todo.extend(ast.iter_child_nodes(node))
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package.rsplit(".", level - 1)[0] if level else ""
                origin = ".".join(part for part in (base, module) if part)
                yield from (f"{origin}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id=call) | ast.Attribute(attr=call), args=[ast.Constant(value=name), *_]
            ):
                if call in {"import_module", "__import__"}:
                    yield str(name)
            case ast.Attribute(value=ast.Name(), attr="sleep"):  # whatever name `time` goes by
                yield "time.sleep"


def performing(provider: type[Any], simulator: type[Any]) -> list[str]:
    """What the package of a provider imports although it only describes, one line each.

    All modules of the package are read, those that nothing imports as well, except the simulator's.
    """
    top = provider.__module__.partition(".")[0]
    name = provider.__module__.rpartition(".")[0] if top == "mdmsdk" else top
    served = simulator.__module__
    root = Path(str(importlib.import_module(name or top).__file__)).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = (name, *path.relative_to(root).with_suffix("").parts)
        module = ".".join(parts).removesuffix(".__init__")
        if within(module, served) or "simulator" in parts or "tests" in parts:
            continue
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found += [
            f"{module} uses {used}"
            for used in imports(path.read_text(encoding="utf-8"), package)
            if any(within(used, banned) for banned in PERFORMING)
        ]
    return found
