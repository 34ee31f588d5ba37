"""The command `serve`."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mdmsdk.cli.report import OK, say
from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def serve(path: Path | None, workers: int | None) -> int:
    """Serve until somebody ends it."""
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise ConfigurationError(
            "the gateway is not installed", hint="Install it with: pip install 'mdmsdk[gateway]'"
        )
    from mdmsdk.gateway.serve import serve as serve_gateway

    # Who runs a server wants to see what it does; -q and -v say otherwise.
    logging.getLogger("mdmsdk.gateway").setLevel(logging.INFO)
    # Each response is a line of JSON, or none.
    logging.getLogger("mdmsdk.gateway.access").setLevel(logging.WARNING)
    serve_gateway(path, say, workers)
    return OK


def new_key_for(name: str) -> int:
    """Make a key, and say what goes into the configuration."""
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    say("The key, which is shown only this once:")
    sys.stdout.write(f"{key}\n")
    sys.stdout.flush()
    say("Add to the configuration:")
    say("[[gateway.rest.keys]]")
    say(f"name = {json.dumps(name)}")
    say(f'sha256 = "{digest}"')
    return OK
