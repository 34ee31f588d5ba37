"""What goes wrong, as a person reads it on stderr and a script in the exit code. Never a traceback.

==  ============================================================
0   all is well
1   a key is unknown to every server
2   wrong usage or configuration, a malformed key included
3   a server failed, or no server could be asked
70  a defect of the program itself
74  the output could not be written
130 interrupted by Ctrl-C
141 whoever read the output has gone (``| head``)
==  ============================================================

Where several apply, 2 is told before 3, and 3 before 1: a missing answer is worse than an unknown device.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from mdmsdk.cli.bar import aside, at_line_start, leave, want_bars
from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.words import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK, UNKNOWN, WRONG, FAILED = 0, 1, 2, 3
DEFECT, NOT_WRITTEN, INTERRUPTED, READER_GONE = 70, 74, 130, 141

_PATIENCE = 1.0  # seconds that requests under way get to end after Ctrl-C
_log = logging.getLogger("mdmsdk")


class ReaderGoneError(Exception):
    """Nobody reads the output any more."""


class NotWrittenError(Exception):
    """The output could not be written, for example because the disk is full."""


def say(text: str) -> None:
    """One line for the person at the terminal."""
    with contextlib.suppress(OSError, ValueError), aside("\n"):  # nobody listens: no reason to lose the data
        before = "" if at_line_start() or not sys.stderr.isatty() else "\n"
        sys.stderr.write(f"{before}{one_line(text)}\n")
        sys.stderr.flush()


def remark(text: str) -> None:
    """The same for what is good to know, if it is wanted."""
    if _log.isEnabledFor(logging.WARNING):
        say(text)


def complain(error: MdmError) -> None:
    """Say what went wrong and what to do about it."""
    say(f"error: {error}")
    if error.hint:
        say(f"hint: {error.hint}")


def code_of(error: MdmError) -> int:
    """The exit code that an error asks for."""
    return WRONG if isinstance(error, ConfigurationError) else FAILED


class Tally:
    """Collects what went wrong in a long run: says each thing once, and keeps the exit code.

    Attributes:
        code: the exit code so far.
    """

    _MOST = 20

    def __init__(self) -> None:
        self.code: int = OK
        self._said: set[str] = set()
        self._unsaid = 0

    def note(self, code: int) -> None:
        """Something that ends in this exit code."""
        order = (OK, UNKNOWN, FAILED, WRONG)
        self.code = max(self.code, code, key=order.index)

    def error(self, error: MdmError, code: int | None = None) -> None:
        """An error; the same one for thousands of keys is told once."""
        self.note(code_of(error) if code is None else code)
        text = str(error)
        if text in self._said:
            return
        if len(self._said) < self._MOST:
            self._said.add(text)
            complain(error)
        else:
            self._unsaid += 1

    def remark(self, what: str, text: str) -> None:
        """Something that a person should know; of each kind only the first."""
        if what not in self._said:
            self._said.add(what)
            say(f"note: {text}")

    def close(self) -> None:
        """Say how much was left unsaid."""
        if self._unsaid:
            say(f"error: {self._unsaid} more; each answer's outcomes hold its own")


def listen(level: int = logging.WARNING) -> None:
    """Write the library's log to stderr, from this level upwards; it leaves out what is secret by itself."""
    _log.setLevel(level)
    if not any(isinstance(handler, _Handler) for handler in _log.handlers):
        _log.addHandler(_Handler())


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001 - a log record that is wrong ends no program
            said = str(record.msg)
        if record.levelno < logging.WARNING:
            now = time.strftime("%H:%M:%S", time.localtime(record.created))
            say(f"{now}.{record.msecs:03.0f} {record.name}: {said}")
        else:
            say(f"{record.levelname.lower()}: {said}")


def guarded(run: Callable[[], object]) -> int:
    """Run something to its exit code, whatever it raises."""
    listen()
    want_bars(wanted=True)
    try:
        with _interruptible():
            run()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else OK if ended.code is None else WRONG
    except MdmError as error:
        complain(error)
        return code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except ReaderGoneError:
        _drop_output()
        return READER_GONE
    except NotWrittenError as error:
        say(f"error: the output cannot be written: {error}")
        _drop_output()
        return NOT_WRITTEN
    except Exception as error:  # noqa: BLE001 - the last resort, so that nobody sees a traceback
        return _defect(error)
    return OK


def _defect(error: Exception) -> int:
    # Its text is not shown: it was not written for readers, and may hold what it stumbled over.
    if _log.isEnabledFor(logging.DEBUG):
        import traceback

        traceback.print_tb(error.__traceback__)
    say(
        f"error: unexpected {type(error).__name__}; please report it to the developers of mdmsdk, "
        "with what --verbose shows"
    )
    return DEFECT


def _drop_output() -> None:
    """Let what is still buffered go nowhere, or Python would complain about it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the program soon, although requests in other threads may hang until their timeout.

    The main thread may not notice the signal, if it waits for a lock and another thread was woken. What never
    fails to come is the byte that Python writes at once to its wakeup descriptor, so a thread waits for that.
    """
    if threading.current_thread() is not threading.main_thread() or not _is_ours():
        yield  # embedded, or started in the background where Ctrl-C is ignored
        return
    ours, theirs = os.pipe()
    if os.name == "posix":
        os.set_blocking(theirs, False)
    former = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours,), name="ctrl-c", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(former)
        os.close(theirs)


def _is_ours() -> bool:
    """Whether Ctrl-C is a `KeyboardInterrupt`, and nobody has given it another meaning."""
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _watch(wakeups: int) -> None:
    """Leave a while after Ctrl-C, until the descriptor's other end is closed."""
    while number := os.read(wakeups, 1):
        if number[0] == signal.SIGINT and _is_ours():
            time.sleep(_PATIENCE)
            _leave()
    os.close(wakeups)


def _leave() -> None:
    leave()
    os._exit(INTERRUPTED)
