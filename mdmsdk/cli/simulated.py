"""The commands that bring their own servers: `simulate` and `demo`."""

from __future__ import annotations

import json
import os
import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mdmsdk.cli import rows
from mdmsdk.cli.bar import Bar
from mdmsdk.cli.formats import writing
from mdmsdk.cli.output import Column, View, put
from mdmsdk.cli.report import OK, UNKNOWN, Tally, complain, remark
from mdmsdk.cli.rows import labelled
from mdmsdk.cli.servers import show_answers, show_devices, show_heartbeats
from mdmsdk.errors import ConfigurationError, MdmError, ProviderLoadError
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.registry import SIMULATORS, installed, load_provider, load_simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mdmsdk.cli.options import Format
    from mdmsdk.federation import MdmFederation
    from mdmsdk.simulator import Fleet, RunningSimulator, SimDevice, Simulator

_MARK = "# Written by `mdm simulate`: these servers exist as long as it runs."
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# For documentation (RFC 7042, section 2.1.2), so no device has them; the second is locally administered.
_UNKNOWN_MAC = "00:00:5E:00:53:FE"
_UNKNOWN_PRIVATE_MAC = "02:00:5E:00:53:FE"
_SHOWN = 10

SIMULATED = View(
    table=[Column("SERVER", itemgetter("server")), Column("URL", itemgetter("base_url"))],
    csv=[Column(name, itemgetter(name)) for name in ("server", "provider", "base_url", "devices")],
)


def _need_extra() -> None:
    """Say how to get the simulators.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    try:
        import mdmsdk.simulator  # noqa: F401 - only whether it can be imported
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "mdmsdk":
            raise
        raise ConfigurationError(
            f"simulated servers need {error.name}, which is not installed",
            hint="Install it with: pip install 'mdmsdk[simulator]'",
        ) from None


def load_simulators(names: Sequence[str], fleet: Fleet) -> list[Simulator[Any]]:
    """The named simulators, or those of all installed vendors, over one fleet.

    Raises:
        ConfigurationError: a named one is not installed or broken, or there is none at all.
    """
    if names:
        return [_prepared(name, fleet) for name in dict.fromkeys(names)]
    simulators = []
    for plugin in installed(SIMULATORS):
        try:
            simulators.append(_prepared(plugin.name, fleet))
        except MdmError as error:
            complain(error)  # a broken plugin does not take the others down
    if not simulators:
        raise ConfigurationError(
            "no installed plugin has a simulator", hint="Reinstall mdmsdk, or install a vendor's plugin."
        )
    return simulators


def _prepared(name: str, fleet: Fleet) -> Simulator[Any]:
    """A simulator that has been asked for all that it is served by, so that it fails here if at all."""
    kind = load_simulator(name)
    try:
        simulator: Simulator[Any] = kind(fleet)
        settings: Any = simulator.settings("http://127.0.0.1:1")
        simulator.app  # noqa: B018 - makes the routes
    except Exception as error:
        raise ProviderLoadError(
            f"the simulator {name!r} of a plugin cannot be started: {type(error).__name__}: {error}",
            provider=name,
            hint="Report it to its publisher.",
        ) from error
    if not (isinstance(settings, dict) and isinstance(settings.get("provider"), str)):
        raise ProviderLoadError(
            f"the simulator {name!r} of a plugin gives no settings with the name of its provider",
            provider=name,
            hint="Report it to its publisher.",
        )
    return simulator


@dataclass(frozen=True, slots=True)
class Sample:
    """A key to try on a simulated server, and what it shows."""

    what: str
    key: str


def _colons(mac: str) -> str:
    return ":".join(re.findall("..", mac.upper()))


def samples(fleet: Fleet, simulators: Sequence[Simulator[Any]]) -> list[Sample]:
    """One key for each case that the fleet has, of kinds by which one of the servers can be asked."""
    askable = _Askable(fleet, simulators)
    return [
        *askable.first("by MAC" if "mac" in askable.kinds else "compliant", _is("compliant")),
        *askable.first("noncompliant", _is("noncompliant")),
        *askable.first(
            "by UDID", lambda device: _is("compliant")(device) and device.platform == "iOS", "udid"
        ),
        *askable.first("by GUID", _is("noncompliant"), "guid"),
        *askable.first(
            "private MAC", lambda device: _is("compliant")(device) and device.has_random_mac, "mac"
        ),
        *askable.first("retired", lambda device: not device.registered, "guid", "mac", "serial", "id"),
        *(
            Sample("shared dock", _colons(mac))
            for mac in [*fleet.shared_macs()][:1]
            if "mac" in askable.kinds
        ),
        *askable.unknown(),
    ]


def _is(state: str) -> Callable[[SimDevice], bool]:
    return lambda device: device.registered and device.compliance == state


class _Askable:
    """By which keys the servers of some simulators can be asked.

    Attributes:
        kinds: which of them can be asked by each kind of key.
    """

    def __init__(self, fleet: Fleet, simulators: Sequence[Simulator[Any]]) -> None:
        self._fleet = fleet
        self.kinds: dict[str, Simulator[Any]] = {}
        for simulator in simulators:
            with suppress(MdmError):  # whoever asks the server is told of a broken provider
                for kind in load_provider(simulator.settings("http://127.0.0.1:1")["provider"]).keys:
                    self.kinds.setdefault(kind.kind, simulator)

    def first(self, what: str, wanted: Callable[[SimDevice], bool], *kinds: str) -> Iterator[Sample]:
        """The first device of that sort that a key of such a kind names, if there is one."""
        for kind in [kind for kind in kinds or KEY_KINDS if kind in self.kinds][:1]:
            for device in filter(wanted, self._fleet):
                if key := self._key(kind, device):
                    yield Sample(what, key)
                    return

    def _key(self, kind: str, device: SimDevice) -> str | None:
        if kind == "mac":
            # Not the dock: others have used it too.
            own = (mac for mac in device.mac_addresses if len(self._fleet.by_mac(mac)) == 1)
            return next(map(_colons, own), None)
        value = self.kinds[kind].identifiers(device).get(kind)
        return value and f"{kind}:{value}"

    def unknown(self) -> Iterator[Sample]:
        """Keys that no device has."""
        if "mac" in self.kinds:
            yield Sample("unknown", _UNKNOWN_MAC)
            yield Sample("unknown private MAC", _UNKNOWN_PRIVATE_MAC)


def _toml(value: Any) -> str:
    """A value in TOML; its basic strings are those of JSON, and DEL is no part of our settings."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_toml_key(name)} = {_toml(inner)}' for name, inner in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _toml_key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def configuration(running: Sequence[RunningSimulator[Simulator[Any]]], fleet: Fleet) -> str:
    """The `mdm.toml` for running simulators, with keys to try."""
    lines = [_MARK, "#", f"# Keys to try with `mdm lookup`, among {len(fleet)} devices:"]
    lines += [
        f"#   {sample.key:<45} {sample.what}" for sample in samples(fleet, [one.simulator for one in running])
    ]
    for one in running:
        lines += ["", f"[servers.{_toml_key(one.simulator.name)}]"]
        lines += [
            f"{_toml_key(name)} = {_toml(value)}" for name, value in one.settings.items() if value is not None
        ]
    return "\n".join(lines) + "\n"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; a file that was not written this way is left alone.

    Raises:
        ConfigurationError: there is another file of that name, or it cannot be written.
    """
    try:
        if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(_MARK):
            raise ConfigurationError(
                f"{path} exists and was not written by `mdm simulate`",
                hint="Name another file, or move that one away.",
            )
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            path.chmod(0o600)  # for a file that was there before
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="Check the path and its permissions."
        ) from None


def _register(certificate: Path, simulators: Sequence[Simulator[Any]]) -> None:
    """Let the owner of a certificate log in to the servers that know such logins.

    Raises:
        ConfigurationError: there is no such server, or the file is no certificate.
    """
    from cryptography.x509 import load_pem_x509_certificate

    try:
        load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{certificate} cannot be read as a certificate in PEM ({type(error).__name__})",
            hint="Name the file that begins with -----BEGIN CERTIFICATE-----, not the key.",
        ) from None
    known = [simulator.name for simulator in simulators if simulator.register(certificate)]
    if not known:
        raise ConfigurationError(
            "none of these servers lets anybody log in with a certificate",
            hint="Simulate intune or workspaceone.",
        )
    remark(f"The certificate {certificate} may log in to: {', '.join(known)}")


def simulate(
    chosen: Format | None,
    names: Sequence[str],
    *,
    size: int,
    seed: int,
    port: int,
    duration: float | None,
    write: Path | None,
    certificate: Path | None = None,
) -> int:
    """Serve until Ctrl-C, SIGTERM, the end of the parent process or of the duration."""
    _need_extra()
    from mdmsdk.simulator import Fleet, serve_forever

    fleet = Fleet.generate(size=size, seed=seed)
    simulators = load_simulators(names, fleet)
    if certificate:
        _register(certificate, simulators)

    def announce(running: Sequence[RunningSimulator[Simulator[Any]]]) -> None:
        text = configuration(running, fleet)
        if write:
            write_private(write, text)
        _announce(running, fleet, text, chosen)
        saved = f"They are configured in {write}" if write else "Save the configuration above as mdm.toml"
        remark(
            f"{len(running)} server(s) over {len(fleet)} devices until Ctrl-C. {saved}; in another terminal:"
        )
        remark(f"mdm heartbeat --config {write or 'mdm.toml'}")

    ports = [port + offset for offset in range(len(simulators))] if port else []
    try:
        serve_forever(simulators, ports=ports, duration=duration, ready=announce)
    except OSError as error:
        if isinstance(error, MdmError):
            raise
        raise ConfigurationError(
            f"cannot listen on port {port}: {error.strerror}",
            hint="Choose another --port, or leave it out to get free ones.",
        ) from None
    return OK


def _announce(
    running: Sequence[RunningSimulator[Simulator[Any]]], fleet: Fleet, text: str, chosen: Format | None
) -> None:
    # The configuration is what one wants to redirect into a file, so it is the default there too.
    if chosen in {None, "table"}:
        put(text)
        return
    with writing(SIMULATED, chosen) as out:
        for one in running:
            settings = {"server": one.simulator.name, "provider": one.settings["provider"]}
            out.write({**settings, "base_url": one.origin, "devices": len(fleet)})


def demo(chosen: Format | None) -> int:
    """Show heartbeat, lookups and the noncompliant list on simulated servers."""
    _need_extra()
    from mdmsdk.client import connect
    from mdmsdk.federation import MdmFederation
    from mdmsdk.simulator import Fleet, serve

    # Made to be read: the default is a table wherever it goes.
    chosen = chosen or "table"
    fleet = Fleet.generate()
    with ExitStack() as stack:
        clients, simulators = [], load_simulators((), fleet)
        for simulator in simulators:
            running = stack.enter_context(serve(simulator))
            try:
                clients.append(connect(**running.settings, server=simulator.name))
            except MdmError as error:
                complain(error)
        federation = stack.enter_context(MdmFederation(clients))
        remark(f"{len(clients)} simulated server(s) over {len(fleet)} made-up devices")
        return max(
            _demo_heartbeat(federation, chosen),
            _demo_lookup(federation, samples(fleet, simulators), chosen),
            _demo_list(federation, chosen),
        )


def _heading(command: str, what: str, chosen: Format) -> None:
    """A line that teaches a command; beside data for programs it goes to stderr."""
    if chosen == "table":
        put(f"\n$ {command}    # {what}\n")
    else:
        remark(f"$ {command}    # {what}")


def _demo_heartbeat(federation: MdmFederation, chosen: Format) -> int:
    _heading("mdm heartbeat", "is every server there?", chosen)
    return show_heartbeats(federation, chosen)


def _demo_lookup(federation: MdmFederation, tried: Sequence[Sample], chosen: Format) -> int:
    _heading("mdm lookup KEY...", "does a device comply?", chosen)
    view = labelled(rows.LOOKUP, "WHAT", [sample.what for sample in tried])
    code = show_answers(
        federation.lookup_many([sample.key for sample in tried]),
        chosen,
        bar=Bar("keys", wanted=False),
        view=view,
    )
    return OK if code == UNKNOWN else code  # the unknown ones are part of the show


def _demo_list(federation: MdmFederation, chosen: Format) -> int:
    _heading("mdm noncompliant", "which devices do not comply?", chosen)
    tally = Tally()
    devices = federation.noncompliant()
    count = show_devices(islice(devices, _SHOWN), chosen, tally)
    count += sum(1 for _ in devices)
    (put if chosen == "table" else remark)(f"({min(count, _SHOWN)} of {count})\n")
    return tally.code
