"""The way to one address: proxy, name, TCP, TLS, HTTP, and the clock at its end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mdmsdk._run.probe import refused_by_proxy
from mdmsdk.doctor.chain import hosts_in, read_chain
from mdmsdk.doctor.notes import StopError
from mdmsdk.errors import MdmError
from mdmsdk.models import clean_time
from mdmsdk.wire import http_date

if TYPE_CHECKING:
    from mdmsdk._run.probe import Probe
    from mdmsdk.doctor.findings import Redactor
    from mdmsdk.doctor.notes import Notes
    from mdmsdk.settings import Policy

# Entra ID and others take assertions and tokens that are up to five minutes off, as Kerberos does.
_MOST_SKEW = 300.0
_RESOLUTION = 2.0  # seconds: the header has whole ones, and the answer took some time
_PROXY_REFUSES = 407
_NO_ANSWER = {"TimeoutError": "no answer", "ConnectionRefusedError": "refused"}


class Way:
    """The steps to an address, up to any answer.

    Args:
        url: the address.
        setting: what names it in the configuration.
        notes: where the findings go.
        probe: takes the single steps.
        policy: how patient it is.
        redactor: learns the hosts on the way.
    """

    def __init__(
        self, url: str, setting: str, *, notes: Notes, probe: Probe, policy: Policy, redactor: Redactor
    ) -> None:
        self._url = url
        self._setting = setting
        self._notes = notes
        self._probe = probe
        self._policy = policy
        self._redactor = redactor
        place = urlsplit(url)
        self._secure = place.scheme == "https"
        self._host, self._port = place.hostname or "", place.port or (443 if self._secure else 80)
        redactor.learn("host", [self._host])

    async def take(self) -> None:
        """Take the steps.

        Raises:
            StopError: one of them failed.
        """
        await self._reach()
        await self._shake_hands()
        await self._ask()

    async def _reach(self) -> None:
        """Proxy, name and TCP."""
        try:
            way = self._probe.way(self._url)
        except MdmError as error:
            self._notes.fail("proxy", error)
            raise StopError from None
        host, port = self._host, self._port
        if way.proxy:
            place = urlsplit(way.proxy.url)
            host, port = place.hostname or "", place.port or 0
            self._redactor.learn("host", [host])
        self._notes.good("proxy", f"{f'{host}:{port}' if way.proxy else 'none'} ({way.rule})")
        whose = "proxy setting" if way.proxy else self._setting
        try:
            addresses = await self._probe.resolve(host, port, self._policy.timeout)
        except OSError as error:
            late = isinstance(error, TimeoutError)
            problem = f"no name server answered in {self._policy.timeout:g} s" if late else "not known"
            self._notes.bad("name", f"{host}: {problem}", f"Check the name in the {whose}, and DNS here.")
            raise StopError from None
        shown = list(dict.fromkeys(str(address[4][0]) for address in addresses))
        looked_up = f"{host} is {', '.join(shown)}"
        self._notes.good("name", f"{host}: no name to look up" if shown == [host] else looked_up)
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
        note = self._notes.good if len(dead) < len(shown) else self._notes.bad
        note("tcp", f"port {port}: {told}", remedy)
        if len(dead) == len(shown):
            raise StopError

    async def _shake_hands(self) -> None:
        """TLS, on the way that requests take."""
        if not self._secure:
            self._notes.skip("tls", f"{self._setting} begins with http: nothing is encrypted")
            return
        try:
            sight = await self._probe.look(self._url, self._policy.timeout)
        except MdmError as error:
            self._fail_on_the_way("tls", error)
            raise StopError from None
        self._redactor.learn("host", hosts_in(sight))
        reading = read_chain(self._host, sight, datetime.now(UTC), self._setting)
        (self._notes.good if sight.code is None else self._notes.bad)("tls", *reading)
        if sight.code is not None:
            raise StopError

    def _fail_on_the_way(self, step: str, error: MdmError) -> None:
        """Blame the proxy where it was the one who refused."""
        if refusal := refused_by_proxy(error):
            before = self._notes.findings["proxy"].detail
            remedy = "Check the login in the proxy's address, and that the proxy lets this host through."
            self._notes.bad("proxy", f"{before}; it refuses the way to {self._host}: {refusal}", remedy)
        else:
            self._notes.fail(step, error)

    async def _ask(self) -> None:
        """HTTP, and the clock."""
        try:
            response, seconds = await self._probe.ask(self._url, self._policy.timeout)
        except MdmError as error:
            self._fail_on_the_way("http", error)
            raise StopError from None
        if response.status == _PROXY_REFUSES:
            before, remedy = (
                self._notes.findings["proxy"].detail,
                "Give the proxy's address a user name and password.",
            )
            self._notes.bad("proxy", f"{before}; it asks for a login (407)", remedy)
            raise StopError
        self._notes.good("http", f"status {response.status} after {seconds * 1000:.0f} ms, without a login")
        self._look_at_clock(response.header("date"))

    def _look_at_clock(self, said: str | None) -> None:
        there = clean_time(http_date(said)) if said else None
        if there is None:
            self._notes.skip("clock", "the server does not tell its time")
            return
        skew = (datetime.now(UTC) - there).total_seconds()
        detail = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server"
        if abs(skew) < _RESOLUTION:
            detail = "this machine and the server agree"
        wrong = abs(skew) > _MOST_SKEW
        remedy = "Set this machine's clock by NTP, or the server's: logins and tokens are refused."
        (self._notes.bad if wrong else self._notes.good)("clock", detail, remedy if wrong else None)


def _tcp_word(outcome: OSError | None) -> str:
    return _NO_ANSWER.get(type(outcome).__name__, "unreachable") if outcome else "answers"
