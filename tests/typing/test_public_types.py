"""The public signatures, as a type checker sees them: mypy reads this file, pytest only imports it."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import mdmsdk
from mdmsdk import Answer, AsyncMdmClient, Device, Heartbeat, LookupResult, MdmClient, ServerInfo
from mdmsdk.flow import Flow, call, done, send, together
from mdmsdk.wire import Request, Response


def sync(client: MdmClient, federation: mdmsdk.MdmFederation) -> None:
    assert_type(mdmsdk.connect("ise", base_url="https://mdm.example"), MdmClient)
    with client as same:
        assert_type(same, MdmClient)
    assert_type(client.heartbeat(), ServerInfo)
    assert_type(client.lookup("mac:00:1B:44:11:3A:B7"), Device | None)
    assert_type(client.find(mdmsdk.Serial("S")), list[Device])
    assert_type(client.lookup_many(["serial:S"]), Iterator[LookupResult])
    assert_type(client.noncompliant(), Iterator[Device])
    assert_type(client.devices(), Iterator[Device])
    assert_type(client.with_policy(timeout=1), MdmClient)
    assert_type(mdmsdk.connect_server("macs"), MdmClient)
    assert_type(client.last_response, Response | None)
    assert_type(federation.lookup("serial:S", deadline=1).decision, mdmsdk.Decision)
    assert_type(federation.lookup("serial:S"), Answer)
    assert_type(federation.heartbeat(), list[Heartbeat])
    assert_type(federation.noncompliant(), Iterator[Device])


async def in_async(client: AsyncMdmClient, federation: mdmsdk.AsyncMdmFederation) -> None:
    assert_type(mdmsdk.connect_async("ise", base_url="https://mdm.example"), AsyncMdmClient)
    async with client as same:
        assert_type(same, AsyncMdmClient)
    assert_type(await client.heartbeat(), ServerInfo)
    assert_type(await client.lookup("mac:00:1B:44:11:3A:B7"), Device | None)
    assert_type(await client.find(mdmsdk.Serial("S")), list[Device])
    assert_type(client.lookup_many(["serial:S"]), AsyncIterator[LookupResult])
    assert_type(client.noncompliant(), AsyncIterator[Device])
    assert_type(client.with_policy(timeout=1), AsyncMdmClient)
    assert_type(mdmsdk.connect_server_async("macs"), AsyncMdmClient)
    assert_type(await client.refresh_secrets(), None)
    assert_type(await federation.lookup("serial:S"), Answer)


def flow() -> Flow[str]:
    response = yield from send(Request("GET", "https://mdm.example"))
    assert_type(response, Response)
    assert_type((yield from call(lambda: 7)), int)
    assert_type((yield from together(done("a"), done("b"))), list[str])
    return response.text


def test_this_file_is_for_the_type_checker() -> None:
    assert sync.__name__ != in_async.__name__
    flow().close()
