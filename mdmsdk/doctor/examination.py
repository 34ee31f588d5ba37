"""Takes the steps to each server of a configuration, and says what was found."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from mdmsdk._run import waits_aio, waits_sync
from mdmsdk._run.budget import Budget
from mdmsdk._run.probe import Probe, refused_by_proxy
from mdmsdk._run.runner import Runner
from mdmsdk._run.waits_sync import iterate
from mdmsdk.client.verdict import ruled, rules_of, settle
from mdmsdk.config import Config, load_config
from mdmsdk.doctor.chain import hosts_in, read_chain
from mdmsdk.doctor.findings import STEPS, Finding, Redactor, failed, finding
from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    MdmError,
    TokenError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.models import ComplianceState, clean_time
from mdmsdk.proof import proven
from mdmsdk.provider import Capability
from mdmsdk.wire import http_date

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.provider import MdmProvider, Page

# Well-formed identifiers that no device has: the MAC address is locally administered, the names are reserved
# (RFC 2606).
_SAMPLES = {
    "mac": "02:7F:9D:3C:5E:1B",
    "guid": "6f0a2c1e-7b3d-4e58-9c46-d1a2b3c4e5f7",
    "udid": "6f0a2c1e7b3d4e589c46d1a2b3c4e5f70a1b2c3d",
    "serial": "MDMSDKN0NE7",
    "hostname": "no-such-host.invalid",
    "username": "no.such.user@example.invalid",
}
# Entra ID and others take assertions and tokens that are up to five minutes off, as Kerberos does.
_MOST_SKEW = 300.0
_RESOLUTION = 2.0  # seconds: the header has whole ones, and the answer took some time
_LIMIT_FIELD = re.compile(r"(?:x-)?rate-?limit(?:-[a-z-]+)?", re.ASCII)
_PROXY_REFUSES = 407
_NO_ANSWER = {"TimeoutError": "no answer", "ConnectionRefusedError": "refused"}


def diagnose(
    config: Config | str | Path | None = None, *, servers: Iterable[str] | None = None, redacted: bool = False
) -> Iterator[Finding]:
    """What is found at each step on the way to each server, as it is found; see `STEPS`.

    Each step has a deadline of its own: ``policy.timeout`` up to the answer, ``policy.deadline`` after that.

    Args:
        config: the configuration, or its file; default: the one that `mdmsdk.config.find_config` finds.
        servers: only these, by name; None means all.
        redacted: give host names, addresses and user names other names.

    Raises:
        ConfigurationError: there is no such file or server, or the file cannot be read. What is wrong with
            the settings of one server is a finding.
    """
    return iterate(_diagnose(waits_sync, _loaded(config), servers, redacted=redacted))


def adiagnose(
    config: Config | str | Path | None = None, *, servers: Iterable[str] | None = None, redacted: bool = False
) -> AsyncIterator[Finding]:
    """The same in async; see `diagnose`."""
    return _diagnose(waits_aio, _loaded(config), servers, redacted=redacted)


def _loaded(config: Config | str | Path | None) -> Config:
    return config if isinstance(config, Config) else load_config(config)


async def _diagnose(
    waits: ModuleType, config: Config, servers: Iterable[str] | None, *, redacted: bool
) -> AsyncIterator[Finding]:
    redactor = Redactor()
    for name in config.names(servers):
        try:
            provider = config.provider(name)
        except MdmError as error:
            findings = _stopped(name, failed(name, "settings", error))
        else:
            findings = await _Examination(waits, name, provider, redactor).run()
        for found in findings:
            yield redactor.redact(found) if redacted else found


def _stopped(server: str, *findings: Finding) -> list[Finding]:
    """The findings in order; the steps that are missing were not tried."""
    by_step = {found.step: found for found in findings}
    return [by_step.get(step) or finding(server, step, "not tried", ok=None) for step in STEPS]


class _Stop(Exception):  # noqa: N818 - nothing that any caller sees
    """All later steps make no sense."""


class _Examination:
    """The steps to one server."""

    def __init__(self, waits: ModuleType, server: str, provider: MdmProvider, redactor: Redactor) -> None:
        settings = provider.settings
        self._server = server
        self._provider = provider
        self._policy = settings.policy
        self._url = settings.base_url
        self._runner = Runner(waits, provider, server, settings.policy)
        self._probe = Probe(self._runner)
        self._redactor = redactor
        self._findings: dict[str, Finding] = {}
        place = urlsplit(self._url)
        self._secure = place.scheme == "https"
        self._host, self._port = place.hostname or "", place.port or (443 if self._secure else 80)
        redactor.learn("host", [self._host, *_hosts_of(settings)])
        redactor.learn("user", _users_of(settings))

    async def run(self) -> list[Finding]:
        """Take the steps as far as they make sense."""
        try:
            self._good("settings", f"the provider {self._provider.name!r} takes them: {self._url}")
            await self._reach()
            await self._shake_hands()
            await self._ask()
            await self._use()
        except _Stop:
            pass
        finally:
            await self._runner.aclose()
        return _stopped(self._server, *self._findings.values())

    def _note(self, ok: bool | None, step: str, detail: str, remedy: str | None = None) -> None:
        hide = self._runner.secrets.hide
        self._findings[step] = finding(self._server, step, hide(detail), remedy and hide(remedy), ok=ok)

    def _good(self, step: str, detail: str, remedy: str | None = None) -> None:
        self._note(True, step, detail, remedy)  # noqa: FBT003

    def _bad(self, step: str, detail: str, remedy: str) -> None:
        self._note(False, step, detail, remedy)  # noqa: FBT003

    def _skip(self, step: str, detail: str) -> None:
        self._note(None, step, detail)

    def _fail(self, step: str, error: MdmError) -> None:
        self._findings[step] = failed(self._server, step, error)

    # --- up to the answer ---

    async def _reach(self) -> None:
        """Proxy, name and TCP."""
        try:
            way = self._probe.way(self._url)
        except MdmError as error:
            self._fail("proxy", error)
            raise _Stop from None
        host, port = self._host, self._port
        if way.proxy:
            place = urlsplit(way.proxy.url)
            host, port = place.hostname or "", place.port or 0
            self._redactor.learn("host", [host])
        self._good("proxy", f"{f'{host}:{port}' if way.proxy else 'none'} ({way.rule})")
        whose = "proxy setting" if way.proxy else "base_url"
        try:
            addresses = await self._probe.resolve(host, port, self._policy.timeout)
        except OSError as error:
            late = isinstance(error, TimeoutError)
            problem = f"no name server answered in {self._policy.timeout:g} s" if late else "not known"
            self._bad("name", f"{host}: {problem}", f"Check the name in the {whose}, and DNS here.")
            raise _Stop from None
        shown = list(dict.fromkeys(str(address[4][0]) for address in addresses))
        looked_up = f"{host} is {', '.join(shown)}"
        self._good("name", f"{host}: no name to look up" if shown == [host] else looked_up)
        outcomes = await self._probe.reach(addresses, self._policy.timeout)
        self._tell_tcp(shown, outcomes, host, port)

    def _tell_tcp(self, shown: list[str], outcomes: list[OSError | None], host: str, port: int) -> None:
        dead = [address for address, outcome in zip(shown, outcomes, strict=True) if outcome]
        told = ", ".join(
            f"{address} {_tcp_word(outcome)}" for address, outcome in zip(shown, outcomes, strict=True)
        )
        remedy = None
        if len(dead) == len(shown):
            remedy = (
                f"Check that {host} listens on port {port}, and that the route and every firewall on the way "
                "let this machine through."
            )
        elif dead:
            remedy = f"Connections try these in vain first: mend or remove {', '.join(dead)} in DNS."
        self._note(len(dead) < len(shown), "tcp", f"port {port}: {told}", remedy)
        if len(dead) == len(shown):
            raise _Stop

    async def _shake_hands(self) -> None:
        """TLS, on the way that requests take."""
        if not self._secure:
            self._skip("tls", "base_url begins with http: nothing is encrypted")
            return
        try:
            sight = await self._probe.look(self._url, self._policy.timeout)
        except MdmError as error:
            self._fail_on_the_way("tls", error)
            raise _Stop from None
        self._redactor.learn("host", hosts_in(sight))
        reading = read_chain(self._host, sight, datetime.now(UTC))
        self._note(sight.code is None, "tls", *reading)
        if sight.code is not None:
            raise _Stop

    def _fail_on_the_way(self, step: str, error: MdmError) -> None:
        """Blame the proxy where it was the one who refused."""
        if refusal := refused_by_proxy(error):
            before = self._findings["proxy"].detail
            remedy = "Check the login in the proxy's address, and that the proxy lets this host through."
            self._bad("proxy", f"{before}; it refuses the way to {self._host}: {refusal}", remedy)
        else:
            self._fail(step, error)

    async def _ask(self) -> None:
        """HTTP, and the clock."""
        try:
            response, seconds = await self._probe.ask(self._url, self._policy.timeout)
        except MdmError as error:
            self._fail_on_the_way("http", error)
            raise _Stop from None
        if response.status == _PROXY_REFUSES:
            before, remedy = (
                self._findings["proxy"].detail,
                "Give the proxy's address a user name and password.",
            )
            self._bad("proxy", f"{before}; it asks for a login (407)", remedy)
            raise _Stop
        self._good("http", f"status {response.status} after {seconds * 1000:.0f} ms, without a login")
        self._look_at_clock(response.header("date"))

    def _look_at_clock(self, said: str | None) -> None:
        there = clean_time(http_date(said)) if said else None
        if there is None:
            self._skip("clock", "the server does not tell its time")
            return
        skew = (datetime.now(UTC) - there).total_seconds()
        detail = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server"
        if abs(skew) < _RESOLUTION:
            detail = "this machine and the server agree"
        wrong = abs(skew) > _MOST_SKEW
        remedy = "Set this machine's clock by NTP, or the server's: logins and tokens are refused."
        self._note(not wrong, "clock", detail, remedy if wrong else None)

    # --- with the provider ---

    async def _use(self) -> None:
        """Login, heartbeat, a lookup and a page; a refused credential is noticed at any of them."""
        deadline = self._policy.deadline
        try:
            await self._probe.log_in("api", deadline)
            info: ServerInfo = await self._runner.run("heartbeat", Budget(deadline), "heartbeat")
        except MdmError as error:
            if not self._blame_login(error):
                self._accept_login()
                self._fail("heartbeat", error)
            raise _Stop from None
        named = (info.product, info.version, info.api_version and f"API {info.api_version}")
        self._good("heartbeat", ", ".join(filter(None, named)) or f"{info.vendor} is there")
        self._accept_login()
        await self._look_up(info)
        await self._list(info)
        self._tell_limits()

    def _accept_login(self) -> None:
        self._good("login", "the server takes the credential")

    def _blame_login(self, error: MdmError) -> bool:
        """Whether it was the login that failed; then it is noted."""
        if error.operation == "login" or isinstance(error, AuthenticationError | TokenError):
            self._fail("login", error)
            return True
        return False

    def _fail_or_blame(self, step: str, error: MdmError) -> None:
        if isinstance(error, UnsupportedOperationError):
            self._skip(step, error.message)
        elif self._blame_login(error):
            self._skip(step, "not possible without the login")
        else:
            self._fail(step, error)

    async def _look_up(self, info: ServerInfo) -> None:
        kinds = {kind.kind for kind in self._provider.keys}
        key = next((KEY_KINDS[kind](text) for kind, text in _SAMPLES.items() if kind in kinds), None)
        if key is None:
            self._skip("lookup", f"no sample for any of: {', '.join(sorted(kinds))}")
            return
        began = time.monotonic()
        try:
            found: Sequence[Device] = await self._runner.run(
                "find", Budget(self._policy.deadline), "find", info, key
            )
            found = proven(self._provider, key, found)
        except MdmError as error:
            self._fail_or_blame("lookup", error)
            return
        seconds = time.monotonic() - began
        self._good("lookup", f"{_sample(key)}: {len(found)} devices, after {seconds * 1000:.0f} ms")

    async def _list(self, info: ServerInfo) -> None:
        """The first page of the noncompliant list, and what the source of compliance says about the fleet."""
        try:
            page = await self._page(info, "noncompliant")
        except ConfigurationError as error:  # the source of compliance says nothing, or there is none
            self._fail("compliance", error)
            self._skip("list", "not possible without a source of compliance")
            return
        except MdmError as error:
            self._fail_or_blame("list", error)
            return
        self._good("list", f"{len(page.items)} noncompliant devices{_more(page)}")
        await self._look_at_compliance(info, page)

    async def _look_at_compliance(self, info: ServerInfo, page: Page[Device]) -> None:
        which = "noncompliant"
        if Capability.INVENTORY in self._provider.capabilities:
            try:
                page, which = await self._page(info, "devices"), "all"
            except UnsupportedOperationError:  # this server does not have what others of its kind do
                pass
            except MdmError as error:
                self._fail_or_blame("compliance", error)
                return
        rules, now = rules_of(self._provider.settings), self._runner.shared.clock.now()
        judged = [ruled(row, rules, now) if rules else row for row in page.items]
        devices = [settle(row, self._server, self._provider.name) for row in judged]
        if not devices:
            self._skip("compliance", f"nothing can be said: no device on the first page of {which}")
            return
        states = Counter(device.compliance.state.value for device in devices)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        sources = sorted({device.compliance.source for device in devices if device.compliance.source})
        by = f"; decided by {', '.join(sources[:3])}" if sources else ""
        detail = f"first page of {which}: {told}{by}"
        if states[ComplianceState.UNKNOWN.value] < len(devices):
            self._good("compliance", detail)
            return
        reason = next((reason for device in devices for reason in device.compliance.reasons), "")
        remedy = f"No device has a verdict: say in the setting compliance what decides. {reason}"
        self._bad("compliance", detail, remedy.strip())

    async def _page(self, info: ServerInfo, which: str) -> Page[Device]:
        budget = Budget(self._policy.deadline)
        page: Page[Device] = await self._runner.run(which, budget, f"{which}_page", info, None)
        return page

    def _tell_limits(self) -> None:
        limits = self._provider.limits.lowered(self._provider.settings.limits)
        rate = f"{limits.rate:g} requests a second, " if limits.rate else ""
        told = {name: value for name, value in self._probe.fields.items() if _LIMIT_FIELD.fullmatch(name)}
        said = ", ".join(f"{name}: {value}" for name, value in told.items())
        detail = f"kept to: {rate}{limits.concurrency} at once; the server says {said or 'nothing'}"
        if "0" in (value for name, value in told.items() if name.endswith("remaining")):
            remedy = "The quota is spent: ask less often, or lower limits.rate where other tools share it."
            self._bad("limits", detail, remedy)
        else:
            self._good("limits", detail)


def _tcp_word(outcome: OSError | None) -> str:
    return _NO_ANSWER.get(type(outcome).__name__, "unreachable") if outcome else "answers"


def _sample(key: Key) -> str:
    return f"a {key.kind} that nobody has ({key})"


def _more(page: Page[Any]) -> str:
    return "" if page.next_cursor is None else " on the first page"


def _settings(settings: Any) -> Mapping[str, Any]:
    return {name: getattr(settings, name) for name in type(settings).model_fields}


def _hosts_of(settings: Any) -> list[str]:
    """The hosts that settings name."""
    texts = [value for value in _settings(settings).values() if isinstance(value, str) and "://" in value]
    if settings.proxy:
        texts.append(settings.proxy.get_secret_value())
    return [host for text in texts if (host := urlsplit(text).hostname)]


def _users_of(settings: Any) -> list[str]:
    """The user names that settings hold."""
    found = [value for name, value in _settings(settings).items() if "user" in name]
    texts = [value.get_secret_value() if isinstance(value, SecretStr) else value for value in found]
    return [text for text in texts if isinstance(text, str) and text]
