"""The sync classes are written from the async ones, so the two modes cannot drift apart."""

import ast
from pathlib import Path

import pytest

from mdmsdk._run.twins import PACKAGE, TWINS, sync_twin


def tree(text: str) -> str:
    """What the text means; layout and comments aside, imports in any order."""
    module = ast.parse(text)
    module.body.sort(
        key=lambda node: ast.dump(node) if isinstance(node, ast.Import | ast.ImportFrom) else "~"
    )
    return ast.dump(module, indent=1)


@pytest.mark.parametrize("original", sorted(TWINS))
def test_the_sync_file_is_the_async_one(original: str) -> None:
    expected = sync_twin((PACKAGE / original).read_text(encoding="utf-8"))
    actual = (PACKAGE / TWINS[original]).read_text(encoding="utf-8")
    assert tree(actual) == tree(expected), f"write it anew: python -m mdmsdk._run.twins ({TWINS[original]})"


@pytest.mark.parametrize("twin", sorted(TWINS.values()))
def test_nothing_async_is_left(twin: str) -> None:
    for node in ast.walk(ast.parse((PACKAGE / twin).read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith | ast.AsyncFor)


def test_the_waits_have_the_same_names() -> None:
    def names(file: str) -> set[str]:
        body = ast.parse((PACKAGE / "_run" / file).read_text(encoding="utf-8"))
        return {
            node.name
            for node in ast.walk(body)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name != "run"
        }

    assert names("waits_aio.py") <= names("waits_sync.py")  # which has what an event loop has in itself


def test_every_file_with_async_code_has_a_twin_or_is_none() -> None:
    twins = {PACKAGE / original for original in TWINS}
    both = {PACKAGE / "_run" / name for name in ("http.py", "waits_aio.py", "waits_sync.py")}
    both |= {
        PACKAGE / "_run" / name for name in ("gate.py", "operation.py", "probe.py", "runner.py", "tokens.py")
    }
    both |= {PACKAGE / "_run" / name for name in ("quotas.py", "race.py", "streams.py")}
    both |= {PACKAGE / "federation" / name for name in ("answers.py", "lists.py", "members.py", "servers.py")}
    both |= {PACKAGE / "federation" / name for name in ("cache.py", "flights.py", "rounds.py", "shelf.py")}
    both |= {PACKAGE / "client" / "described.py"}
    both |= {PACKAGE / "doctor" / name for name in ("agreement.py", "examination.py", "way.py")}
    both |= {
        PACKAGE / "store" / name
        for name in ("back_end.py", "limits.py", "memory.py", "redis.py", "sqlite.py")
    }
    both |= {PACKAGE / "directory" / name for name in ("ledger.py", "routing.py", "walking.py")}
    packages = {"_run", "client", "directory", "doctor", "federation", "store"}
    performing = [path for path in Path(PACKAGE).rglob("*.py") if path.parent.name in packages]
    for path in performing:
        has_async = any(
            isinstance(node, ast.AsyncFunctionDef)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
        assert has_async == (path in twins | both), path
