"""Servers that answer what a test says, and federations over them in both modes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mdmsdk.flow import send
from mdmsdk.identifiers import KEY_KINDS, Guid, Mac, Serial
from mdmsdk.models import Device
from mdmsdk.settings import Policy
from mdmsdk.simulator.server import serve
from mdmsdk.testing import Modal, open_client, open_federation
from tests.core.conftest import Answer, Script, TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo

__all__ = ["GUID", "MAC", "Answer", "Servers", "record"]

MAC = "00:1B:44:11:3A:B7"
GUID = "51431193-e6c3-4339-9a2b-8f1ff1fd42a2"


class RecordProvider(TinyProvider):
    """``GET /find?mac=`` answers with a list of devices in JSON."""

    name = "record"
    keys: ClassVar = frozenset({Mac, Serial, Guid})

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        del info
        rows = (yield from send(self.get("/find", **{key.kind: key.value}))).json()
        return [Device.model_validate(row) for row in rows]


class MacProvider(RecordProvider):
    name = "macs"
    keys: ClassVar = frozenset({Mac})


class OfMeraki(RecordProvider):
    name = "of-meraki"
    certificate_names: ClassVar = frozenset({"MerakiSM"})


class OfJamf(RecordProvider):
    name = "of-jamf"
    certificate_names: ClassVar = frozenset({"Jamf"})


_KINDS = {kind.name: kind for kind in (RecordProvider, MacProvider, OfMeraki, OfJamf)}


def record(state: str = "compliant", **facts: Any) -> dict[str, Any]:
    """A managed device's record, with a MAC address unless the facts say otherwise."""
    basic = {"id": "1", "registered": True, "mac_addresses": [MAC], "compliance": {"state": state}}
    return {**basic, **facts}


class Servers:
    """Several servers at one address, by name."""

    def __init__(self, origin: str, script: Script, mode: str) -> None:
        self.script = script
        self._mode = mode
        self._origin = origin
        self._opened: list[Modal] = []

    def knows(self, name: str, *rows: dict[str, Any], by: str = "", wait: float = 0.0) -> None:
        """Have a server answer with rows, to one kind of key or to all; it knows nothing else."""

        def find(request: Any) -> Answer:
            asked = not by or by in request.query_params
            return Answer(json.dumps(rows if asked else []), wait=wait)

        self.script.routes[f"/{name}/find"] = find

    def fails(self, name: str, status: int = 403) -> None:
        """Have a server refuse."""
        self.script.routes[f"/{name}/find"] = Answer("", status)

    def lists(self, name: str, *pages: list[int]) -> None:
        """Have a server list devices of these numbers."""

        def page(request: Any) -> Answer:
            number = int(request.query_params["cursor"].replace("start", "0"))
            more = number + 1 < len(pages)
            return Answer(json.dumps({"rows": pages[number], "next": str(number + 1) if more else None}))

        self.script.routes[f"/{name}/page"] = page

    def open(
        self, *names: str, kinds: dict[str, str] | None = None, policy: Policy | None = None, **options: Any
    ) -> Modal:
        """A federation over servers of these names."""
        clients = []
        for name in names:
            self.script.routes.setdefault(f"/{name}/info", "")
            kind = _KINDS[(kinds or {}).get(name, "record")]
            settings = TinySettings(base_url=f"{self._origin}/{name}", policy=policy or Policy(attempts=1))
            clients.append(open_client(kind(settings), self._mode, server=name))
        self._opened += clients
        self._opened.append(open_federation(clients, self._mode, **options))
        return self._opened[-1]

    def asked(self, name: str) -> list[str]:
        """The kinds of keys that a server was asked for, in order."""
        return [
            kind
            for request in self.script.requests
            if request.url.path == f"/{name}/find"
            for kind in KEY_KINDS
            if kind in request.query_params
        ]

    def close(self) -> None:
        """Close what was opened."""
        for one in reversed(self._opened):
            one.close()


@pytest.fixture
def servers(mdm_mode: str) -> Iterator[Servers]:
    script = Script()
    with serve(script) as running:
        servers = Servers(running.origin, script, mdm_mode)
        yield servers
        servers.close()
