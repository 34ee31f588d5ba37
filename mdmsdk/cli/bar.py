"""A progress bar on stderr, for people who wait."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID


class Bar:
    """Counts what has come, if stderr is a terminal. It erases itself in the end.

    Args:
        what: what is counted, such as ``"devices"``.
        total: how many there will be, if that is known.
        wanted: False never shows it.
    """

    def __init__(self, what: str, total: int | None = None, *, wanted: bool = True) -> None:
        self._what = what
        self._total = total
        self._wanted = wanted and sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._wanted:
            self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.hide()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

        counter = MofNCompleteColumn() if self._total else "{task.completed:,}"
        gauge = (BarColumn(),) if self._total else ()
        self._progress = Progress(
            SpinnerColumn(),
            *gauge,
            counter,
            "{task.description}",
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,  # rich would send the data to stderr
        )
        self._task = self._progress.add_task(self._what, total=self._total)
        self._progress.start()

    def step(self) -> None:
        """One more has come."""
        if self._progress and self._task is not None:
            self._progress.advance(self._task)

    def hide(self) -> None:
        """Erase it; it does not come back."""
        if self._progress:
            self._progress.stop()
            self._progress = None
