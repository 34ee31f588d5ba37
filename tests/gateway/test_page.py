"""The web page, as a person with a browser sees it; ``MDM_SCREENS=new`` makes the picture of the docs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mdmsdk.errors import ConnectError
from mdmsdk.testing import FakeAsyncMdmFederation, FakeServer
from tests.gateway.browser import CHROMIUM, browsing
from tests.gateway.conftest import KEY, MAC, SETTINGS, device, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.gateway.browser import Browser
    from tests.gateway.conftest import Faces, Open

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
HOSTILE = "<img src=x onerror=alert(1)>\u202eenohP s'annA"
_HALF = "a-key-for-lookups"


def test_the_files_hold_nothing_and_let_nothing_in(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]})
    for path, media in {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}.items():
        answer = faces.rest.get(path, headers={"Authorization": ""})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == f"{media}; charset=utf-8"
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "://" not in answer.text  # no outside resources
        assert not [word for word in ("style=", "innerHTML", "onclick=", "eval(") if word in answer.text]
    off: Faces = gateway({"one": []}, rest={**SETTINGS["rest"], "page": False})
    assert [off.rest.get(path).status_code for path in ("/", "/page.css", "/page.js")] == [404] * 3


def test_it_says_where_there_are_decisions_of_other_workers(gateway: Open) -> None:
    alone, one_of_four = (gateway({"one": []}, workers=count).rest.get("/").text for count in (1, 4))
    assert "workers" not in alone
    assert "One of 4 workers shows its own" in one_of_four


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """A gateway over a server that knows a device of a hostile name, and one that is not there."""
    keys = [
        {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "scopes": scopes}
        for name, key, scopes in (
            ("help desk", KEY, ["lookup", "servers", "decisions"]),
            ("half", _HALF, ["lookup", "servers"]),
        )
    ]
    bad = device(
        "noncompliant",
        name="Anna's phone",
        serial_number="F2LW48ALHG7F",
        manufacturer="Apple",
        model="iPhone 15",
        os="iOS",
        os_version="17.1",
        user="anna@example.com",
        compliance={
            "state": "noncompliant",
            "reasons": ["The passcode is too short."],
            "remediation": "Choose a longer passcode.",
        },
    )
    hostile = device(id="2", guid=None, mac_addresses=("00:1B:44:11:3A:B8",), name=HOSTILE)
    servers = {
        "phones": FakeServer([bad, hostile]),
        "tablets": FakeServer([]),
        "branch": FakeServer(down=ConnectError("the server cannot be reached", hint="Check its address.")),
    }
    with serving(lambda: FakeAsyncMdmFederation(servers), {"ise": None, "rest": {"keys": keys}}) as place:
        yield place


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def enter(browser: Browser, origin: str, key: str) -> None:
    """Open the page, and type a key into what has the focus."""
    browser.open(origin + "/")
    browser.wait("document.activeElement.id === 'key'")
    browser.type(key)


def ask(browser: Browser, text: str) -> str:
    """Type an identifier, and read the answer."""
    browser.run("document.getElementById('answer').replaceChildren()")
    browser.run("document.getElementById('value').value = ''; document.getElementById('value').focus()")
    browser.type(text)
    browser.wait("document.getElementById('answer').innerText")
    return browser.text("#answer")


def test_a_person_looks_a_device_up(chromium: Browser, origin: str, tmp_path: Path) -> None:
    enter(chromium, origin, KEY)
    chromium.wait("document.querySelectorAll('#servers tbody tr').length === 3")
    assert "✓ answers" in chromium.text("#servers")
    assert "✕ does not answer\tthe server cannot be reached. Check its address." in chromium.text("#servers")
    assert chromium.wait("document.getElementById('decisions').innerText") == "Nobody has asked yet."

    # The name that somebody gave to a device is text, and turns nothing around it.
    told = ask(chromium, "00:1B:44:11:3A:B8")
    assert HOSTILE in told
    assert chromium.run("document.querySelectorAll('#answer img').length") == 0
    assert "! no answer" in told
    told = ask(chromium, MAC)
    for words in (
        "✕ noncompliant",
        "The passcode is too short.",
        "Choose a longer passcode.",
        "Anna's phone",
    ):
        assert words in told
    assert "shown by the record of phones" in told
    assert "tablets\tdoes not know it" in told
    assert "branch\tfailed\tthe server cannot be reached. Check its address." in told
    chromium.wait("document.querySelectorAll('#decisions tbody tr').length === 2")
    newest = chromium.text("#decisions tbody tr")
    assert "✕ noncompliant" in newest
    assert "help desk (rest)" in newest

    kept = PICTURES if os.environ.get("MDM_SCREENS") == "new" else tmp_path
    looks = [
        (kept, "gateway-page", 1000, False),
        (tmp_path, "dark", 1000, True),
        (tmp_path, "narrow", 360, False),
    ]
    for folder, name, width, dark in looks:
        chromium.look(width, dark=dark)
        assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
        chromium.picture(folder / f"{name}.png")

    assert "could be of these kinds" in ask(chromium, "no key at all")
    assert chromium.run("document.querySelector('#answer .trouble') !== null")
    # Every control has a name, and the keyboard reaches it.
    assert chromium.run(
        "[...document.querySelectorAll('input, select')].every((one) => one.labels.length === 1)"
    )
    chromium.run("document.getElementById('kind').focus()")
    chromium.press("Tab", 9)
    assert chromium.run("document.activeElement.id") == "value"
    # A question that is refused is an error of the network to the browser, and the only one.
    assert [one for one in chromium.complaints if "400" not in one] == []
    chromium.complaints.clear()


def test_a_wrong_key_is_told_and_forgotten(chromium: Browser, origin: str) -> None:
    enter(chromium, origin, "wrong")
    chromium.wait("!document.getElementById('trouble').hidden")
    assert "wrong or missing credentials" in chromium.text("#trouble")
    assert chromium.run("document.getElementById('inside').hidden")
    enter(chromium, origin, _HALF)
    chromium.wait("document.querySelector('#decisions .trouble') !== null")
    assert "this key is not for decisions" in chromium.text("#decisions")
    assert "✕ noncompliant" in ask(chromium, MAC)
    # It is kept nowhere, and a page that is opened anew has none.
    assert chromium.run("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    chromium.run("document.getElementById('leave').click()")
    assert chromium.run("document.activeElement.id") == "key"
    assert MAC not in chromium.text("body")
    assert [
        one for one in chromium.complaints if not {"401", "403"} & set(one.replace(")", " ").split())
    ] == []
    chromium.complaints.clear()
