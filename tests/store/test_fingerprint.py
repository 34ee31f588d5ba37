"""What tells the entries of a server from those of other settings: who asks, and not how patiently."""

from __future__ import annotations

import os
from collections.abc import Callable  # noqa: TC003 - pydantic reads it
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mdmsdk.settings import LowerLimits, Policy, ProviderSettings
from mdmsdk.store.fingerprint import fingerprint
from tests.core.conftest import TinyProvider, TinySettings

if TYPE_CHECKING:
    from pathlib import Path


class Called(TinySettings):
    token_provider: Callable[..., Any] | None = Field(default=None, exclude=True)


def token_of_one() -> str:
    return "one"


def token_of_another() -> str:
    return "another"


def of(kind: type[ProviderSettings] = TinySettings, **settings: Any) -> str:
    made = kind(base_url="https://mdm.example", **settings)
    return fingerprint(TinyProvider(made), lambda text: sha256(text.encode()).hexdigest())


def test_who_logs_in_counts_and_patience_does_not() -> None:
    assert of(password="one") != of(password="another")
    assert of() == of(policy=Policy(timeout=1.0), limits=LowerLimits(rate=1.0))


def test_a_certificate_is_what_stands_in_its_file(tmp_path: Path) -> None:
    file, copy = tmp_path / "client.pem", tmp_path / "copy.pem"
    file.write_text("one")
    copy.write_text("one")
    before = of(tls={"client_cert": file})
    assert before == of(tls={"client_cert": copy}), "replicas keep it where they like"
    file.write_text("another")
    assert before != of(tls={"client_cert": file})
    file.unlink()
    assert before != of(tls={"client_cert": file})
    os.mkfifo(file)  # as a shell's <(command) is; reading it here would take it from the login
    assert before != of(tls={"client_cert": file})


def test_a_function_that_gives_tokens_is_somebody() -> None:
    one = of(Called, token_provider=token_of_one)
    assert one == of(Called, token_provider=token_of_one)
    assert one != of(Called, token_provider=token_of_another)
    assert one != of(Called)
