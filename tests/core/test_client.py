"""What the client makes of a provider's records: verdicts, lists, many lookups, the server's description."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.client import verdict
from mdmsdk.errors import (
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    InvalidIdentifierError,
    ServerError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import Mac, Serial, Udid
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.provider import Capability, Limits, Page
from tests.core.conftest import Answer, Script, TinyProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

MAC = "00:1B:44:11:3A:B7"


def device(
    record: str, state: str = "compliant", *, registered: bool = True, seen: int | None = 1, **more: Any
) -> Device:
    moment = None if seen is None else datetime.fromtimestamp(1_760_000_000 + seen * 86_400, UTC)
    verdict = Compliance(state=ComplianceState(state))
    return Device(id=record, compliance=verdict, registered=registered, last_check_in=moment, **more)


class TestVerdict:
    def test_of_nothing_comes_nothing(self) -> None:
        assert verdict.pick([]) is None

    def test_registered_then_newest_then_lower_number(self) -> None:
        rows = [
            device("9"),
            device("10"),
            device("3", seen=5),
            device("2", seen=9, registered=False),
            device("1", seen=None),
        ]
        order = [row.id for row in sorted(rows, key=verdict.preference)]
        assert order == ["3", "9", "10", "1", "2"]

    @pytest.mark.parametrize(
        ("states", "strictest"),
        [
            (["compliant", "noncompliant"], "noncompliant"),
            (["compliant", "unknown"], "unknown"),
            (["compliant", "grace"], "grace"),
            (["grace", "unknown", "compliant"], "unknown"),
            (["compliant", "compliant"], "compliant"),
        ],
    )
    def test_the_strictest_record_counts_and_says_so(self, states: list[str], strictest: str) -> None:
        rows = [device(str(number), state, seen=100 - number) for number, state in enumerate(states)]
        chosen = verdict.pick(rows)
        assert chosen is not None
        assert chosen.id == "0"
        assert chosen.compliance.state == strictest
        assert bool(chosen.compliance.reasons) == (strictest != states[0])

    @given(st.lists(st.sampled_from(list(ComplianceState)), min_size=1, max_size=5))
    def test_no_order_of_records_makes_a_verdict_milder(self, states: list[ComplianceState]) -> None:
        rows = [device(str(number), state, seen=number) for number, state in enumerate(states)]
        results = {chosen.compliance.state for order in (rows, rows[::-1]) if (chosen := verdict.pick(order))}
        assert results == {max(states, key=lambda state: state.severity)}

    def test_a_record_that_left_does_not_count_against_one_that_is_there(self) -> None:
        chosen = verdict.pick([device("1", "noncompliant", registered=False), device("2", "compliant")])
        assert chosen is not None
        assert (chosen.id, chosen.compliance.state) == ("2", "compliant")

    def test_a_record_counts_of_which_nobody_knows_whether_it_left(self) -> None:
        doubt = frozenset({"register_status"})
        unclear = device("1", "noncompliant", registered=False, unreadable=doubt)
        chosen = verdict.pick([unclear, device("2", "compliant")])
        assert chosen is not None
        assert (chosen.id, chosen.compliance.state) == ("2", "noncompliant")

    @pytest.mark.parametrize(
        ("state", "settled"),
        [("compliant", "unknown"), ("grace", "unknown"), ("noncompliant", "noncompliant")],
    )
    def test_nobody_vouches_for_a_device_that_left(self, state: str, settled: str) -> None:
        left = verdict.settle(device("1", state, registered=False), "s", "p")
        assert left.compliance.state == settled
        assert (left.server, left.provider) == ("s", "p")
        assert verdict.settle(device("1", state), "s", "p").compliance.state == state


class Foreign(TinyProvider):
    """Forgets to check what comes back."""

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        yield from super().find(info, key)
        return [
            Device(registered=True, id="1", mac_addresses=(Mac("02:00:00:00:00:99"),), serial_number="OTHER"),
        ]


class TestLookup:
    @pytest.mark.parametrize("key", [MAC, "serial:S1"])
    def test_a_record_of_another_device_never_leaves_the_client(self, tiny: Connect, key: str) -> None:
        client = tiny(kind=Foreign)
        for call in (client.lookup, client.find):
            with pytest.raises(FilterIgnoredError) as caught:
                call(key)
            assert caught.value.server == "tiny"
        (result,) = client.lookup_many([key])
        assert isinstance(result.error, FilterIgnoredError)

    def test_unknown_is_none(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = ""
        assert tiny().lookup(MAC) is None
        assert tiny().find(MAC) == []

    def test_a_kind_that_the_provider_lacks_costs_no_request(self, tiny: Connect, script: Script) -> None:
        with pytest.raises(UnsupportedOperationError, match="cannot search by udid, only by: mac, serial"):
            tiny().lookup(Udid("U"))
        with pytest.raises(InvalidIdentifierError):
            tiny().lookup("no key")
        assert not script.requests

    def test_the_server_is_described_once(self, tiny: Connect, script: Script) -> None:
        client = tiny()
        client.side_by_side([lambda client: client.lookup(MAC)] * 10)
        assert script.counts["/info"] == 1
        client.heartbeat()
        assert script.counts["/info"] == 2

    def test_the_description_grows_old(self, tiny: Connect, script: Script) -> None:
        client = tiny(policy={"info_ttl": 0})
        client.lookup(MAC)
        client.lookup(MAC)
        assert script.counts["/info"] == 2

    def test_a_server_that_moved_its_api_is_described_again(self, tiny: Connect, script: Script) -> None:
        client = tiny()
        client.lookup(MAC)
        script.routes |= {"/info": "-v2", "/find": Answer("gone", 404), "/find-v2": "S2"}
        assert client.lookup(MAC).serial_number == "S2"
        script.routes["/find-v2"] = Answer("gone", 404)
        with pytest.raises(EndpointNotFoundError):
            client.lookup(MAC)
        assert script.counts["/info"] == 3

    def test_reasons_are_refused_by_who_has_none(self, tiny: Connect) -> None:
        with pytest.raises(UnsupportedOperationError):
            tiny().reasons(Device(registered=True, id="1"))


class Batching(TinyProvider):
    capabilities: ClassVar = frozenset({Capability.BATCH})
    limits = Limits(batch_size=5, concurrency=2)

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[dict[Key, list[Device]]]:
        request = self.get("/find", keys=",".join(key.value for key in keys))
        yield from self._found(request)
        return {
            key: [] if key.value.endswith("7") else [Device(registered=True, serial_number=key.value)]
            for key in keys
        }

    def _found(self, request: Any) -> Flow[Any]:
        from mdmsdk.flow import send

        return send(request)


class TestLookupMany:
    def test_answers_come_in_order_also_for_repeats_and_nonsense(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = lambda request: request.query_params.get("serial", "")
        keys = ["serial:A", "no key", Serial("B"), "serial:A", Udid("U"), MAC]
        results = list(tiny().lookup_many(keys))
        assert [str(result.key) for result in results] == ["A", "no key", "B", "A", "U", MAC]
        assert [result.device and result.device.serial_number for result in results] == [
            "A",
            None,
            "B",
            "A",
            None,
            None,
        ]
        kinds = [type(result.error).__name__ for result in results]
        assert kinds == [
            "NoneType",
            "InvalidIdentifierError",
            "NoneType",
            "NoneType",
            "UnsupportedOperationError",
            "NoneType",
        ]
        assert script.counts["/find"] == 3

    def test_one_failure_does_not_end_the_others(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = lambda request: (
            Answer("", 500) if request.query_params["serial"] == "S3" else request.query_params["serial"]
        )
        results = list(tiny(policy={"attempts": 1}).lookup_many(f"serial:S{number}" for number in range(6)))
        assert [number for number, result in enumerate(results) if result.error] == [3]
        assert isinstance(results[3].error, ServerError)
        assert all(result.elapsed_ms > 0 for result in results)

    def test_batches_are_as_wide_as_the_provider_can(self, tiny: Connect, script: Script) -> None:
        keys = [f"serial:S{number}" for number in range(23)]
        results = list(tiny(kind=Batching).lookup_many(keys))
        assert [result.device is None for result in results] == [key.endswith("7") for key in keys]
        assert script.counts["/find"] == 5

    def test_keys_are_taken_as_they_are_needed(self, tiny: Connect) -> None:
        taken = []

        def keys() -> Any:
            for number in range(10_000):
                taken.append(number)
                yield f"serial:S{number}"

        stream = tiny().lookup_many(keys())
        next(stream)
        assert len(taken) <= 8
        stream.close()


class TestLists:
    def pages(self, script: Script, *pages: dict[str, Any] | Answer) -> None:
        by_cursor = dict(zip(["start", *map(str, range(1, len(pages)))], pages, strict=True))

        def page(request: Any) -> Any:
            page = by_cursor[request.query_params["cursor"]]
            return page if isinstance(page, Answer) else json.dumps(page)

        script.routes["/page"] = page

    def test_pages_are_walked_to_the_end(self, tiny: Connect, script: Script) -> None:
        self.pages(
            script, {"rows": [1, 2], "next": "1"}, {"rows": [], "next": "2"}, {"rows": [3], "total": 3}
        )
        client = tiny()
        assert [row.id for row in client.noncompliant()] == ["1", "2", "3"]
        assert [row.id for row in client.devices()] == ["1", "2", "3"]

    def test_pages_are_fetched_when_they_are_needed(self, tiny: Connect, script: Script) -> None:
        self.pages(script, {"rows": [1, 2], "next": "1"}, {"rows": [3]})
        stream = tiny().noncompliant()
        assert next(stream).id == "1"
        assert script.counts["/page"] == 1
        stream.close()

    def test_a_row_that_comes_twice_is_given_once(self, tiny: Connect, script: Script) -> None:
        self.pages(script, {"rows": [1, 2, 2], "next": "1"}, {"rows": [2, 3]})
        assert [row.id for row in tiny().noncompliant()] == ["1", "2", "3"]

    @pytest.mark.parametrize(
        ("pages", "collected", "why"),
        [
            ([{"rows": [1], "next": "1"}, {"rows": [2], "next": "1"}], 2, "repeats a page"),
            ([{"rows": [1], "next": "1"}, {"rows": [2], "total": 5}], 2, "counts 5 devices, only 2 came"),
            ([{"rows": [1, 1], "total": 2}], 1, "counts 2 devices, only 1 came"),
            ([{"rows": [1], "next": "1"}, Answer("", 500)], 1, "broke off after 1 devices"),
            ([{"rows": [1], "next": "1"}, Answer("<html>")], 1, "broke off after 1 devices"),
        ],
    )
    def test_a_list_is_never_silently_short(
        self, tiny: Connect, script: Script, pages: list[Any], collected: int, why: str
    ) -> None:
        self.pages(script, *pages)
        rows: list[Device] = []
        with pytest.raises(IncompleteListError, match=why) as caught:
            rows.extend(tiny(policy={"attempts": 1}).noncompliant())
        assert len(rows) == caught.value.collected == collected
        assert (caught.value.server, caught.value.operation) == ("tiny", "noncompliant")
        assert caught.value.hint

    def test_a_provider_that_gives_a_list_up_does_not_know_what_was_handed_out(
        self, tiny: Connect, script: Script
    ) -> None:
        class GivesUp(TinyProvider):
            def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
                if cursor:
                    raise IncompleteListError("rows moved")
                return (yield from super().noncompliant_page(info, cursor))

        self.pages(script, {"rows": [1, 2], "next": "1"}, {"rows": []})
        with pytest.raises(IncompleteListError, match="rows moved") as caught:
            list(tiny(kind=GivesUp).noncompliant())
        assert caught.value.collected == 2

    def test_a_list_has_a_largest_number_of_pages(self, tiny: Connect, script: Script) -> None:
        script.routes["/page"] = lambda request: json.dumps(
            {"rows": [], "next": request.query_params["cursor"] + "x"}
        )
        with pytest.raises(IncompleteListError, match="max_pages"):
            list(tiny(policy={"max_pages": 7}).noncompliant())
        assert script.counts["/page"] == 7

    def test_a_first_page_that_fails_is_the_error_itself(self, tiny: Connect, script: Script) -> None:
        self.pages(script, Answer("", 500))
        with pytest.raises(ServerError):
            list(tiny(policy={"attempts": 1}).noncompliant())

    @pytest.mark.parametrize(
        "pages",
        [
            [{"rows": [1], "state": "compliant"}],
            [{"rows": [1], "next": "1"}, {"rows": [2], "state": "compliant"}],
        ],
    )
    def test_a_compliant_device_shows_that_the_filter_was_ignored(
        self, tiny: Connect, script: Script, pages: list[dict[str, Any]]
    ) -> None:
        self.pages(script, *pages)
        with pytest.raises((FilterIgnoredError, IncompleteListError)) as caught:
            list(tiny().noncompliant())
        assert isinstance(caught.value.__cause__ or caught.value, FilterIgnoredError)

    @given(st.lists(st.lists(st.integers(0, 40), max_size=8), min_size=1, max_size=8))
    def test_every_row_is_given_exactly_once(self, pages: list[list[int]]) -> None:
        listing = verdict.Listing(100, noncompliant=False)
        rows = []
        for number, page in enumerate(pages):
            cursor = str(number) if number + 1 < len(pages) else None
            rows += [
                row.id
                for row in listing.take(Page([Device(registered=True, id=str(row)) for row in page], cursor))
            ]
        assert sorted(map(str, rows)) == sorted({str(row) for page in pages for row in page})
        assert listing.collected == len(rows)
        assert not listing.more

    def test_rows_that_nothing_identifies_are_all_given(self) -> None:
        listing = verdict.Listing(1, noncompliant=False)
        assert len(list(listing.take(Page([Device(registered=True), Device(registered=True)])))) == 2

    def test_a_large_inventory_is_refused_by_who_has_none(self, tiny: Connect, script: Script) -> None:
        class Without(TinyProvider):
            capabilities: ClassVar = frozenset()

        with pytest.raises(UnsupportedOperationError, match="inventory"):
            list(tiny(kind=Without).devices())
        assert not script.requests
