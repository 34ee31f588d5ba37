"""The bugs of the mutation table: each is a change of one of the sample plugins."""

from __future__ import annotations

from tests.kit.bench import Bug

_P = "provider.py"
_FOUND = """        answer = yield from self._get("/v1/devices", **{key.kind: self._text(key)})
        return (yield from self._judged(answer.records("devices")))
"""
_ASKED = """        answer = yield from self._get("/v1/devices", **{key.kind: self._text(key)})
"""
_LOGIN = 'return client_credentials(f"{self.settings.base_url}/oauth/token", self.settings)'
_TOKEN = 'token = yield from client_credentials(f"{self.settings.base_url}/oauth/token", self.settings)'
_SECRET = "self.settings.client_secret.get_secret_value()"
_HEARTBEAT = '        about = yield from self._get("/v1/about")\n'
_STATE = 'STATES.get(word or "", ComplianceState.UNKNOWN)'
_QUARANTINED = "        elif quarantined is None and state is ComplianceState.COMPLIANT:"
_REGISTERED = 'registered=row.veto("enrolled") is True'
_PAGED = "return Page(left, page.next_cursor, sent="
_LEFT = "left = [device for device in page.items if device.registered]"
_ALL = 'state="failed,blocked,quarantined"'
_NEXT = 'answer.text("next")'
_SEARCH = "Search(ask=ask, spellings=lambda key: [self._text(key)], most=most)"
_WITH = f"return find_with(self, {_SEARCH}, keys)"
_SHELF_LOGIN = 'return done(api_key(self.settings, "Key"))'
_WALK = """        devices, following = yield from walk(partial(self._items, query), [""], cursor, PAGE, ordered=True)
        return page_of(devices, following)
"""  # noqa: E501 - as the sample has it
_BY_HAND = """        start = cursor or 0
        part = yield from self._items(query, "", start, PAGE)
        end = start + len(part.rows)
        return Page([row for _, row in part.rows], {following})
"""
_JUDGED = "        device = super().to_device(row, listed=listed)\n"
_BASIC = "basic_token(self.settings.username, self.settings.password.get_secret_value())"
_AUTHORIZE = """    def authorize(self, request: Any, token: Token) -> Any:
        from dataclasses import replace

        return replace(token.on(request), params={**request.params, "token": token.value})

    def login("""


def _flat() -> dict[str, tuple[tuple[str, ...], ...]]:
    def one(old: str, new: str) -> tuple[tuple[str, ...], ...]:
        return ((_P, old, new),)

    def token(change: str) -> tuple[tuple[str, ...], ...]:
        return one(
            _LOGIN,
            f"from dataclasses import replace\n        {_TOKEN}\n        return replace(token, {change})",
        )

    def before(flow: str, line: str) -> tuple[tuple[str, ...], ...]:
        return one(flow, f"        {line}\n{flow}")

    def told(line: str) -> tuple[tuple[str, ...], ...]:
        return one(_LOGIN, f"import logging\n        {line}\n        {_LOGIN}")

    rows = 'rows = yield from self._judged(answer.records("devices"))'
    return {
        "the first row alone is taken, whatever its key": one(
            _FOUND, _FOUND.replace('("devices")', '("devices")[:1]')
        ),
        "the key asked for is written into the record": one(
            _FOUND,
            f"""{_ASKED}        {rows}
        mac = isinstance(key, Mac)
        told = {{"mac_addresses" if mac else key.field: (key,) if mac else key.value}}
        return [row.model_copy(update=told) for row in rows]
""",
        ),
        "MAC addresses are compared by their letters": one(
            _FOUND,
            f"""{_ASKED}        rows = answer.records("devices")
        if isinstance(key, Mac):
            rows = [row for row in rows if self._text(key) in (row.texts("macs") or [])]
        return (yield from self._judged(rows))
""",
        ),
        "MAC addresses are asked for in another spelling": one("key.value.lower()", "key.value"),
        "the encryption is inverted": one('row.flag("encrypted")', 'not row.flag("encrypted")'),
        "the passcode is inverted": one('row.flag("passcode")', 'not row.flag("passcode")'),
        "jailbroken is inverted": one('row.flag("jailbroken")', 'not row.flag("jailbroken")'),
        "registered is inverted": one(_REGISTERED, _REGISTERED.replace("is True", "is not True")),
        "the quarantine is inverted": one("        if quarantined:", "        if quarantined is False:"),
        "an unknown word is a pass": one(_STATE, _STATE.replace("UNKNOWN", "COMPLIANT")),
        "a missing word is a pass": one(_STATE, _STATE.replace('""', '"ok"')),
        "a missing quarantine is none": one(_QUARANTINED, "        elif False:"),
        "an unreadable quarantine is none": one(
            'quarantined = posture.veto("quarantined")', 'quarantined = posture.flag("quarantined") or False'
        ),
        "a missing enrolment is one": one(_REGISTERED, 'registered=row.flag("enrolled") is not False'),
        "the first page alone is read": one(_PAGED, "return Page(left, None, sent="),
        "the list ends at a short page": one(_NEXT, f"{_NEXT} if len(rows) > 3 else None"),
        "a row is skipped between pages": one(
            'after=page or "0"', 'after=str(int(page) + 1) if page else "0"'
        ),
        "the cursor is always the same": one(_NEXT, f'{_NEXT} and "1010"'),
        "the cursor grows for ever": one(_NEXT, f'{_NEXT} or str(10**9 + int(page or "0"))'),
        "any 404 is an unknown user": one("except NobodyError:", "except EndpointNotFoundError:"),
        "any error is an unknown user": one("except NobodyError:", "except Exception:"),
        "any error is an unknown device": one(
            _ASKED, f"        try:\n    {_ASKED}        except Exception:\n            return []\n"
        ),
        "a web page with 200 is an empty answer": one(
            "return Row(answer.json())",
            'return Row(answer.json() if answer.body[:1] == b"{" else {"devices": [], "version": "0"})',
        ),
        "the zone of the check-in is lost": one(
            'row.time("seen")', 'Row({"t": (row.text("seen") or "")[:19] + "+00:00"}).time("t")'
        ),
        "the check-in is never read": one('row.time("seen")', "None"),
        "a secret is in an error": one(
            _LOGIN,
            f"""from mdmsdk.errors import MdmError, TokenError

        try:
            return (yield from client_credentials(f"{{self.settings.base_url}}/oauth/token", self.settings))
        except MdmError as error:
            raise TokenError(f"refused: {{{_SECRET}}}", step="token", hint="Look at it.") from error""",
        ),
        "a secret is in a log of the plugin's own": told(
            f'logging.getLogger("flat").warning("as %s", {_SECRET})'
        ),
        "a secret is in a log below every level": told(f'logging.getLogger("a.b").debug("as %s", {_SECRET})'),
        "a secret is in a log that is not handed on": told(
            f'log = logging.getLogger("flat.own")\n        log.propagate = False\n        log.info({_SECRET})'
        ),
        "a secret is printed": told(f"print({_SECRET})"),
        "the token is in the address": one("    def login(", _AUTHORIZE),
        "a secret is in the repr": one(
            "    def login(", f"    def __repr__(self) -> str:\n        return {_SECRET}\n\n    def login("
        ),
        "a secret is in a cassette": (
            ("cassettes/more.yaml", "# Recorded from: a test\nbody: client_secret=simulated-flat-secret\n"),
        ),
        "each request logs in": token("expires_in=0.000001"),
        "a token that ends never ends": token("expires_in=None"),
        "a token that was got is static": token("static=True"),
        "the settings are changed": before(_HEARTBEAT, 'object.__setattr__(self.settings, "keep_raw", True)'),
        "a file is opened in the constructor": one(
            "    def login(",
            "    def __init__(self, settings: Any) -> None:\n        super().__init__(settings)\n"
            "        open(__file__).close()\n\n    def login(",
        ),
        "the object keeps state": before(_ASKED, "self.last = key"),
        "the class keeps state": one(_ASKED, f"        self.seen[key.value] = True\n{_ASKED}")
        + ((_P, '    vendor = "Flat"\n', '    vendor = "Flat"\n    seen: ClassVar[dict[str, bool]] = {}\n'),),
        "the module keeps state": before(_ASKED, "STATES[key.value] = ComplianceState.UNKNOWN"),
        "names are not encoded in paths": one("quote(name, safe='')", "name"),
        "slashes are not encoded in paths": one("quote(name, safe='')", "quote(name)"),
        "names are encoded twice": one("quote(name, safe='')", "quote(quote(name, safe=''), safe='')"),
        "retired devices are listed": one(_LEFT, "left = list(page.items)"),
        "the list lacks a second kind of failure": one(_ALL, 'state="failed,quarantined"'),
        "the list lacks quarantined devices": one(_ALL, 'state="failed,blocked"'),
        "the list holds devices in grace": one(_ALL, 'state="failed,blocked,quarantined,pending"'),
        "the list holds unknown devices": one(_ALL, 'state="failed,blocked,quarantined,none"'),
        "the list holds all devices": one(f"self._list(cursor, {_ALL})", "self._list(cursor)"),
        "a capability has no method": one("    def reasons(", "    def why("),
        "a method has no capability": one("Capability.INVENTORY, Capability.REASONS", "Capability.INVENTORY"),
        "batches hold one key": one(", batch_size=10)", ")"),
        "a batch drops keys": one("for text in own]}", "for text in own][:3]}"),
        "a batch goes by position": one(
            _WITH,
            """rows = yield from ask({key: [self._text(key)] for key in keys})
        return {key: [row] for key, row in zip(keys, rows)} | {key: [] for key in keys[len(rows) :]}""",
        ),
        "records are repeated": one(_FOUND, f"{_ASKED}        {rows}\n        return rows * 2\n"),
        "it sleeps": (("waiting.py", "from time import sleep\n"),),
        "it sleeps under another name": (("waiting.py", "import time as clock\n\nclock.sleep(0)\n"),),
        "it imports an HTTP library": (("more.py", "def get():\n    import httpx\n"),),
        "it starts threads": (("more.py", "import threading\n"),),
        "it opens sockets, in a package inside": (
            ("inner/__init__.py", ""),
            ("inner/net.py", "import socket\n"),
        ),
        "it yields a request instead of a step": one(
            'answer = yield from send(Request("GET", self.settings.base_url + path, params))',
            'answer = yield Request("GET", self.settings.base_url + path, params)',
        ),
        "an answer about another device is mixed in": one(
            'if posture.text("id") != row.text("id"):', "if False:"
        ),
        "the reasons of another device are taken": one('if answer.text("id") != device.id:', "if False:"),
    }


def _shelf() -> dict[str, tuple[tuple[str, ...], ...]]:
    def one(old: str, new: str) -> tuple[tuple[str, ...], ...]:
        return ((_P, old, new),)

    plain = 'return done(Token(self.settings.api_key, scheme="Key", static=True))'
    return {
        "a refused key is sent twice": one(
            _SHELF_LOGIN, 'return done(Token(self.settings.api_key.get_secret_value(), scheme="Key"))'
        ),
        "a secret setting is no SecretStr": (
            (_P, "api_key: Credential", "api_key: str"),
            (_P, _SHELF_LOGIN, plain),
        ),
        "quotes are not escaped": one("eq '{_escaped(text)}'", "eq '{text}'"),
        "backslashes are not escaped": one('"\\\\\'*"', '"\'*"'),
        "milliseconds are taken for seconds": one(
            'row.time("contact")', 'Row({"t": int((row.number("contact") or 0) / 1000000)}).time("t")'
        ),
        "any 404 is an unknown item": one("except UnknownItemError:", "except EndpointNotFoundError:"),
        "a device that leaves hides another": one(
            _WALK, _BY_HAND.format(following="end if end < (part.total or 0) else None")
        ),
        "a page is as long as was asked for": one(
            _WALK, _BY_HAND.format(following="start + PAGE if start + PAGE < (part.total or 0) else None")
        ),
        "a list by position ends at a short page": one(
            _WALK, _BY_HAND.format(following="end if len(part.rows) == PAGE else None")
        ),
        "no verdict is a pass": one(
            "elif compliant and locked is", "elif compliant is not False and locked is"
        ),
        "the lock is not looked at": one("if compliant is False or locked:", "if compliant is False:"),
        "a missing lock is none": one("compliant and locked is False:", "compliant and not locked:"),
        "the list lacks locked items": one(" or locked eq 'true'", ""),
        "an inventory is there and not declared": one("frozenset({Capability.INVENTORY})", "frozenset()"),
        "batches are declared and not there": one(
            "frozenset({Capability.INVENTORY})", "frozenset({Capability.INVENTORY, Capability.BATCH})"
        ),
        "retired items count as registered": one(_REGISTERED, "registered=True"),
        "the root flag is inverted": one('row.flag("rooted")', 'not row.flag("rooted")'),
        "it runs an event loop": (("more.py", "import asyncio\n"),),
        "the suite has no small pages": (
            ("suite.py", 'paging: ClassVar = {"page_cap": 4}', "paging: ClassVar = {}"),
        ),
        "an excuse is not needed": (
            (
                "suite.py",
                '    provider = "shelf"\n',
                '    provider = "shelf"\n    excused: ClassVar = {"test_declares_what_it_is": "?"}\n',
            ),
        ),
    }


def _dialect() -> dict[str, tuple[tuple[str, ...], ...]]:
    def one(old: str, new: str) -> tuple[tuple[str, ...], ...]:
        return ((_P, old, new),)

    def changed(update: str) -> tuple[tuple[str, ...], ...]:
        return one(_JUDGED, f"{_JUDGED}        device = device.model_copy(update={update})\n")

    return {
        "the vendor's bar is not looked at": one("        if barred:", "        if False:"),
        "the vendor's bar is inverted": one("        if barred:", "        if barred is False:"),
        "a missing bar is none": one("if barred is None and", "if False and"),
        "an unreadable bar is none": one(
            "barred = boolean(text if isinstance(text, str) else None)", 'barred = text in {"true", "1"}'
        ),
        "retired devices are listed": one(_LEFT, "left = list(page.items)"),
        "the first page alone is read": one(_PAGED, "return Page(left, None, sent="),
        "a refused password is sent twice": one(
            f"return done({_BASIC})",
            f"from dataclasses import replace\n\n        return done(replace({_BASIC}, static=False))",
        ),
        "the credential is in the address": one("    def login(", _AUTHORIZE),
        "jailbroken is inverted": changed('{"jailbroken": not device.jailbroken}'),
        "the check-in is never read": changed('{"last_check_in": None}'),
        "everything complies": one(
            _JUDGED, f"{_JUDGED}        return device.judged(state=ComplianceState.COMPLIANT)\n"
        ),
        "the host name asked for is written into the record": one(
            "    def to_device(",
            """    def find(self, info: ServerInfo, key: Any) -> Flow[list[Device]]:
        rows = yield from super().find(info, key)
        told = {"name": key.value} if key.kind == "hostname" else {}
        return [row.model_copy(update=told) for row in rows]

    def to_device(""",
        ),
    }


HARMLESS = {
    Bug("wildcards are not escaped", "shelf", ((_P, '"\\\\\'*"', '"\\\\\'"'),)): (
        "the server gives more records than were asked for, and core drops each that does not have the key"
    ),
}
"""Changes that look like bugs and change no answer, each with the reason: nothing may turn red for them."""

BUGS = [
    Bug(name, sample, changes)
    for sample, bugs in (("flat", _flat()), ("shelf", _shelf()), ("dialect", _dialect()))
    for name, changes in bugs.items()
]
"""Every bug."""
