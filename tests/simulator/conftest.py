import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from xml.etree import ElementTree as ET

import httpx
import pytest

from mdmsdk.simulator import Fleet, IseSimulator, serve

# Made once: reading the system's certificates takes longer than most of these tests.
TLS = ssl.create_default_context()


class IseClient:
    """Bare HTTP and XML, so that the simulator is judged by something other than the SDK."""

    def __init__(self, simulator: IseSimulator, origin: str) -> None:
        self.simulator = simulator
        self.origin = origin
        habits = simulator.habits
        self.http = httpx.Client(
            base_url=origin, auth=(habits.username, habits.password), timeout=5.0, verify=TLS
        )

    def xml(self, path: str, **parameters: object) -> ET.Element:
        response = self.http.get(path, params={name: str(value) for name, value in parameters.items()})
        assert response.status_code == 200, (response.status_code, response.text)
        return self.parse(response.content)

    @staticmethod
    def parse(body: bytes) -> ET.Element:
        return ET.fromstring(body)  # noqa: S314 - our own server

    @staticmethod
    def tags(page: ET.Element, path: str = ".") -> list[str]:
        """Give the names of the children of the element at a path, which has to be there."""
        element = page.find(path)
        assert element is not None, path
        return [child.tag for child in element]

    def status(self, path: str, **parameters: object) -> int:
        return self.http.get(
            path, params={name: str(value) for name, value in parameters.items()}
        ).status_code

    def devices(
        self, criterion: str = "", value: str | None = "", *, version: int = 3, paging: str = "0", **more: str
    ) -> ET.Element:
        asked = {"paging": paging, "filter": "all"} | more
        asked = {name: text for name, text in asked.items() if text or name != "deviceidentifier"}
        if criterion:
            asked |= {"querycriteria": criterion, "value": value or ""}
        return self.xml(f"/ciscoise/mdmapi/v{version}/devices/", **asked)

    def pages(self, value: str = "false", deviceidentifier: str = "") -> Iterator[ET.Element]:
        token = "0"
        for _ in range(1000):
            page = self.devices("compliance", value, paging=token, deviceidentifier=deviceidentifier)
            yield page
            token = page.findtext("paging_info") or "0"
            if token == "0":
                return
        pytest.fail("the pages do not end")


Start = Callable[..., IseClient]


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet.generate(size=120)


@pytest.fixture
def start(fleet: Fleet) -> Iterator[Start]:
    """Start a server with some habits and give a client for it."""
    with ExitStack() as stack:

        def start_one(fleet: Fleet = fleet, **habits: object) -> IseClient:
            running = stack.enter_context(serve(IseSimulator(fleet, **habits)))
            client = IseClient(running.simulator, running.origin)
            stack.callback(client.http.close)
            return client

        yield start_one


@pytest.fixture
def ise(start: Start) -> IseClient:
    return start()
