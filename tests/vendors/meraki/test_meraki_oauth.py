"""OAuth against the simulator: renewal, one new login after a refusal, the hand-over of refresh tokens."""

from __future__ import annotations

from typing import Any

import pytest

from mdmsdk.errors import AuthenticationError, TokenError
from mdmsdk.identifiers import Serial
from mdmsdk.testing import secret_values

pytestmark = pytest.mark.usefixtures("in_no_hurry")


def application(running: Any, stored: list[str], **changes: Any) -> dict[str, Any]:
    habits = running.simulator.habits
    return {
        "api_key": None,
        "refresh_token": habits.refresh_token,
        "client_id": habits.client_id,
        "client_secret": habits.client_secret,
        "token_url": f"{running.origin}/oauth/token",
        "on_refresh": stored.append,
        **changes,
    }


def test_a_refused_token_is_renewed_once_for_all(simulate: Any, connect_to: Any) -> None:
    running, stored = simulate(), list[str]()
    client = connect_to(running, **application(running, stored))
    simulator = running.simulator
    device = next(device for device in simulator.fleet if device.registered)
    assert client.lookup(Serial(device.serial_number)) is not None
    assert (simulator.refreshes, stored) == (1, ["simulated-refresh-token-1"])
    simulator.forget_tokens()
    key = Serial(device.serial_number)
    found = client.side_by_side([lambda client: client.lookup(key)] * 5)
    assert all(answer.serial_number == device.serial_number for answer in found)
    assert simulator.refreshes == 2
    assert stored == ["simulated-refresh-token-1", "simulated-refresh-token-2"]


def test_a_used_refresh_token_is_told_and_not_tried_again(simulate: Any, connect_to: Any) -> None:
    running, stored = simulate(), list[str]()
    client = connect_to(running, **application(running, stored, refresh_token="used-up"))
    for _ in range(3):
        with pytest.raises(TokenError) as caught:
            client.heartbeat()
        assert caught.value.vendor_code == "invalid_grant"
        assert "authorise" in (caught.value.hint or "")
        for secret in secret_values(client.provider.settings):
            assert secret not in f"{caught.value!r}{caught.value}{caught.value.hint}"
    assert running.simulator.requests.count("/oauth/token") == 1


def test_an_access_token_alone_is_sent_until_it_is_refused(simulate: Any, connect_to: Any) -> None:
    running, stored = simulate(), list[str]()
    connect_to(running, **application(running, stored)).heartbeat()
    client = connect_to(running, api_key="simulated-access-token-1")
    client.heartbeat()
    running.simulator.forget_tokens()
    before = len(running.simulator.requests)
    for _ in range(2):
        with pytest.raises(AuthenticationError) as caught:
            client.heartbeat()
        assert "60 minutes" in (caught.value.hint or "")
    assert len(running.simulator.requests) == before + 1
