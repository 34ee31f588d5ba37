"""The ISE simulator with the vendor's own member, and with retired devices in every list."""

from collections.abc import Set as AbstractSet

from mdmsdk.simulator import IseSimulator, SimDevice
from mdmsdk.simulator._ise_xml import Query, Writer, truth_compliant


def is_barred(device: SimDevice) -> bool:
    """Whether a device that does not comply is barred instead of judged."""
    return device.compliance == "noncompliant" and device.id % 2 == 0


class DialectWriter(Writer):
    """Writes `barred` into the attributes; the verdict beside it ignores it, and is left out in lists."""

    _status: bool | None = True

    def _device(self, device: SimDevice, query: Query, names: AbstractSet[str] | None) -> str:
        self._status = None if query.criterion == "compliance" else True
        return super()._device(device, query, names)  # type: ignore[arg-type]

    def _attributes(self, device: SimDevice, version: int, names: AbstractSet[str] | None) -> str:
        content = super()._attributes(device, version, names)  # type: ignore[arg-type]
        end = "</Attributes>" if content.endswith("</Attributes>") else "</attributes>"
        return content.removesuffix(end) + self.element("barred", is_barred(device)) + end

    def _compliance(self, device: SimDevice) -> str:
        if is_barred(device):
            return self.container("compliance", self.element("status", self._status))
        return super()._compliance(device)


class DialectSimulator(IseSimulator):
    """A local server of the dialect."""

    name = "dialect"
    writer_type = DialectWriter

    def noncompliant(self) -> tuple[SimDevice, ...]:
        return self.fleet.select(lambda device: not truth_compliant(device))
