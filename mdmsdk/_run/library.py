"""The HTTP library: `httpx`, or its continuation `httpx2` where installed, and the core below it.

Both have the same interface; the environment variable ``MDMSDK_HTTP`` names one of them.
"""

from __future__ import annotations

import importlib.util
import os
from importlib import import_module
from typing import Any

from mdmsdk._run.quiet import keep_quiet
from mdmsdk.errors import ConfigurationError


def _choose() -> str:
    chosen = os.environ.get("MDMSDK_HTTP")
    if chosen not in {None, "", "httpx", "httpx2"}:
        raise ConfigurationError(f"MDMSDK_HTTP is {chosen!r}", hint="Set it to httpx or httpx2, or unset it.")
    return chosen or ("httpx2" if importlib.util.find_spec("httpx2") else "httpx")


NAME = _choose()
lib: Any = import_module(NAME)
core: Any = import_module(NAME.replace("httpx", "httpcore"))
keep_quiet(NAME)
