"""What an exception carries about apart from its text: variables in frames, and other exceptions."""

from __future__ import annotations

import sys
import traceback
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from mdmsdk.errors import MdmError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from mdmsdk.words import Secrets

__all__ = ["sealed"]


class sealed:  # noqa: N801 - used like a function, in a `with` statement
    """Let exceptions out of a block without what they carry about, apart from what they say.

    Frames that have ended lose their local variables. Exceptions of other libraries, which may hold a whole
    body, a header or a file, stay behind as notes: what happened and where. Secrets are taken out of the
    texts of our own errors. What was being handled before the block, by the application, is left alone.

    Args:
        secrets: what the texts must not hold.
        values: emptied, if the block fails: settings that the calling frame still holds.
    """

    def __init__(self, secrets: Secrets | None = None, values: dict[str, Any] | None = None) -> None:
        self._secrets = secrets
        self._values = values

    def __enter__(self) -> Self:
        self._outer = sys.exception()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is None:
            return
        if self._values is not None:
            self._values.clear()
        for one in self._chain(error):
            traceback.clear_frames(one.__traceback__)
            for link in (one.__cause__, one.__context__):
                if link is not None and link is not self._outer and not isinstance(link, MdmError):
                    self._leave_behind(one, link)
            if self._secrets and isinstance(one, MdmError):
                _hide_secrets(one, self._secrets)

    def _chain(self, error: BaseException) -> Iterator[BaseException]:
        todo, seen = [error], {id(self._outer)}
        while todo:
            one = todo.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            inner = one.exceptions if isinstance(one, BaseExceptionGroup) else getattr(one, "failures", ())
            todo += [link for link in (one.__cause__, one.__context__, *inner) if link is not None]
            yield one

    @staticmethod
    def _leave_behind(error: BaseException, link: BaseException) -> None:
        if error.__context__ is link:
            error.__context__ = None
        if error.__cause__ is link:
            error.__cause__ = None
        note = f"after {type(link).__module__}.{type(link).__qualname__}{_place(link)}"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def _place(error: BaseException) -> str:
    steps = traceback.extract_tb(error.__traceback__)
    if not steps:
        return ""
    file = "/".join(PurePath(steps[-1].filename).parts[-2:])
    return f" in {steps[-1].name} ({file}, line {steps[-1].lineno})"


def _hide_secrets(error: MdmError, secrets: Secrets) -> None:
    for name, value in list(vars(error).items()):
        if isinstance(value, str):
            setattr(error, name, secrets.hide(value))
    error.args = tuple(secrets.hide(value) if isinstance(value, str) else value for value in error.args)
