"""Answers of both products as bytes, and providers to read them; nothing is sent."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.wire import Response
from mdmsdk_ivanti import IvantiCloudProvider, IvantiCoreProvider

SAMPLES = Path(__file__).parents[2] / "samples" / "ivanti"
GIVEN = {"username": "nac", "password": "s3cret-word"}


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


def answer(body: Any, status: int = 200, url: str = "") -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"content-type": "application/json"}, data, url)


def core(**settings: Any) -> IvantiCoreProvider:
    provider = make_provider("ivanti-core", {"base_url": "https://epmm.example.com", **GIVEN, **settings})
    assert isinstance(provider, IvantiCoreProvider)
    return provider


def cloud(**settings: Any) -> IvantiCloudProvider:
    given = {"base_url": "https://eu1.mobileiron.example", **settings}
    provider = make_provider("ivanti-cloud", given if "token" in settings else {**GIVEN, **given})
    assert isinstance(provider, IvantiCloudProvider)
    return provider


@pytest.fixture(name="sample", scope="session")
def _sample() -> Callable[[str], Any]:
    return sample


@pytest.fixture(name="answer", scope="session")
def _answer() -> Callable[..., Response]:
    return answer


@pytest.fixture(name="core", scope="session")
def _core() -> Callable[..., IvantiCoreProvider]:
    return core


@pytest.fixture(name="cloud", scope="session")
def _cloud() -> Callable[..., IvantiCloudProvider]:
    return cloud
