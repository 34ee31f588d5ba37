"""Takes the steps to each server of a configuration, and says what was found."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from mdmsdk._run import waits_aio, waits_sync
from mdmsdk._run.budget import Budget
from mdmsdk._run.probe import Probe
from mdmsdk._run.runner import Runner
from mdmsdk._run.waits_sync import iterate
from mdmsdk.client.verdict import ruled, rules_of, settle
from mdmsdk.config import Config, load_config
from mdmsdk.doctor.aging import outdated_by
from mdmsdk.doctor.agreement import Examined, compare
from mdmsdk.doctor.findings import STEPS, Finding, Redactor, failed, finding
from mdmsdk.doctor.notes import Notes, StopError
from mdmsdk.doctor.way import Way
from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    MdmError,
    TokenError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.models import ComplianceState
from mdmsdk.proof import proven
from mdmsdk.provider import Capability

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
_LIMIT_FIELD = re.compile(r"(?:x-)?rate-?limit(?:-[a-z-]+)?", re.ASCII)


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
    redactor, examined = Redactor(), []
    for name in config.names(servers):
        try:
            provider = config.provider(name)
        except MdmError as error:
            findings = _stopped(name, failed(name, "settings", error))
        else:
            examination = _Examination(waits, name, provider, redactor)
            findings = await examination.run()
            if examination.examined:
                examined.append(examination.examined)
        for found in findings:
            yield redactor.redact(found) if redacted else found
    for found in await compare(waits, examined) if len(examined) > 1 else ():
        yield redactor.redact(found) if redacted else found


def _stopped(server: str, *findings: Finding) -> list[Finding]:
    """The findings in order; the steps that are missing were not tried."""
    by_step = {found.step: found for found in findings}
    return [by_step.get(step) or finding(server, step, "not tried", ok=None) for step in STEPS]


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
        self._notes = Notes(server, self._runner.secrets.hide)
        self._outdated: dict[str, None] = {}  # sentences, each once
        self.examined: Examined | None = None
        redactor.learn("host", _hosts_of(settings))
        redactor.learn("user", _users_of(settings))

    async def run(self) -> list[Finding]:
        """Take the steps as far as they make sense."""
        try:
            self._notes.good("settings", f"the provider {self._provider.name!r} takes them: {self._url}")
            await self._way(self._url, "base_url", self._notes).take()
            await self._look_at_login_host()
            await self._use()
        except StopError:
            pass
        finally:
            await self._runner.aclose()
        return _stopped(self._server, *self._notes.findings.values())

    def _way(self, url: str, setting: str, notes: Notes) -> Way:
        return Way(url, setting, notes=notes, probe=self._probe, policy=self._policy, redactor=self._redactor)

    async def _look_at_login_host(self) -> None:
        """The same steps to where tokens come from; they make one finding."""
        url = self._provider.login_url
        if url is None or urlsplit(url).netloc == urlsplit(self._url).netloc:
            self._notes.skip("login-host", "logins go to the server itself")
            return
        host, notes = urlsplit(url).hostname, Notes(self._server, self._runner.secrets.hide)
        try:
            await self._way(url, "login address", notes).take()
        except StopError:
            [*_, found] = [one for one in notes.findings.values() if one.ok is False]
            self._notes.bad("login-host", f"{host}, {found.step}: {found.detail}", found.remedy)
            raise
        taken = [one for one in notes.findings.values() if one.ok is not None]
        told = "; ".join(f"{one.step}: {one.detail}" for one in taken)
        remedy = " ".join(one.remedy for one in taken if one.remedy) or None
        wrong = any(one.ok is False for one in taken)
        (self._notes.bad if wrong else self._notes.good)("login-host", f"{host}: {told}", remedy)

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
                self._notes.fail("heartbeat", error)
            raise StopError from None
        self._outdated |= dict.fromkeys(self._provider.outdated(info))
        self._accept_login()
        self._tell_heartbeat(info)
        await self._look_up(info)
        await self._list(info)
        self._tell_limits()
        self._tell_heartbeat(info)

    def _tell_heartbeat(self, info: ServerInfo) -> None:
        """Who answers; again when other parts of the API have been asked, too, which may be outdated."""
        self._listen()
        named = (info.product, info.version, info.api_version and f"API {info.api_version}")
        detail = ", ".join(filter(None, named)) or f"{info.vendor} is there"
        self._notes.good("heartbeat", detail, " ".join(self._outdated) or None)

    def _listen(self) -> None:
        if said := outdated_by(self._probe.fields):
            self._outdated[said] = None

    def _accept_login(self) -> None:
        self._notes.good("login", "the server takes the credential")

    def _blame_login(self, error: MdmError) -> bool:
        """Whether it was the login that failed; then it is noted."""
        if error.operation == "login" or isinstance(error, AuthenticationError | TokenError):
            self._notes.fail("login", error)
            return True
        return False

    def _fail_or_blame(self, step: str, error: MdmError) -> None:
        if isinstance(error, UnsupportedOperationError):
            self._notes.skip(step, error.message)
        elif self._blame_login(error):
            self._notes.skip(step, "not possible without the login")
        else:
            self._notes.fail(step, error)

    async def _look_up(self, info: ServerInfo) -> None:
        kinds = {kind.kind for kind in self._provider.keys}
        key = next((KEY_KINDS[kind](text) for kind, text in _SAMPLES.items() if kind in kinds), None)
        if key is None:
            self._notes.skip("lookup", f"no sample for any of: {', '.join(sorted(kinds))}")
            return
        began = time.monotonic()
        try:
            found: Sequence[Device] = await self._runner.run(
                "find", Budget(self._policy.deadline), "find", info, key
            )
            found = proven(self._provider, key, found)
            self._listen()
        except MdmError as error:
            self._fail_or_blame("lookup", error)
            return
        seconds = time.monotonic() - began
        self._notes.good("lookup", f"{_sample(key)}: {len(found)} devices, after {seconds * 1000:.0f} ms")

    async def _list(self, info: ServerInfo) -> None:
        """The first page of the noncompliant list, and what the source of compliance says about the fleet."""
        try:
            page = await self._page(info, "noncompliant")
        except ConfigurationError as error:  # the source of compliance says nothing, or there is none
            self._notes.fail("compliance", error)
            self._notes.skip("list", "not possible without a source of compliance")
            return
        except MdmError as error:
            self._fail_or_blame("list", error)
            return
        self._notes.good("list", f"{len(page.items)} noncompliant devices{_more(page)}")
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
        self.examined = Examined(self._server, self._provider, info, devices)
        if not devices:
            self._notes.skip("compliance", f"nothing can be said: no device on the first page of {which}")
            return
        states = Counter(device.compliance.state.value for device in devices)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        sources = sorted({device.compliance.source for device in devices if device.compliance.source})
        by = f"; decided by {', '.join(sources[:3])}" if sources else ""
        detail = f"first page of {which}: {told}{by}"
        if states[ComplianceState.UNKNOWN.value] < len(devices):
            self._notes.good("compliance", detail)
            return
        reason = next((reason for device in devices for reason in device.compliance.reasons), "")
        remedy = f"No device has a verdict: say in the setting compliance what decides. {reason}"
        self._notes.bad("compliance", detail, remedy.strip())

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
            self._notes.bad("limits", detail, remedy)
        else:
            self._notes.good("limits", detail)


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
