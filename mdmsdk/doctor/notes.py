"""What was found so far about one server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.doctor.findings import Finding, failed, finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.errors import MdmError


class StopError(Exception):
    """All later steps make no sense."""


class Notes:
    """The findings about one server, by step.

    Args:
        server: its name in the configuration.
        hide: takes secrets out of a text.
    """

    def __init__(self, server: str, hide: Callable[[str], str]) -> None:
        self.server = server
        self.hide = hide
        self.findings: dict[str, Finding] = {}

    def _note(self, ok: bool | None, step: str, detail: str, remedy: str | None) -> None:
        hide = self.hide
        self.findings[step] = finding(self.server, step, hide(detail), remedy and hide(remedy), ok=ok)

    def good(self, step: str, detail: str, remedy: str | None = None) -> None:
        """A step that went well; a remedy beside it is a warning."""
        self._note(True, step, detail, remedy)  # noqa: FBT003

    def bad(self, step: str, detail: str, remedy: str | None) -> None:
        """Something is wrong."""
        self._note(False, step, detail, remedy)  # noqa: FBT003

    def skip(self, step: str, detail: str) -> None:
        """A step that has no meaning here."""
        self._note(None, step, detail, None)

    def fail(self, step: str, error: MdmError) -> None:
        """A step that ended with an error."""
        self.findings[step] = failed(self.server, step, error)
