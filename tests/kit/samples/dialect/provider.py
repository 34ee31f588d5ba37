"""What a good dialect of the ISE protocol looks like; the mutation table breaks it in many ways."""

from typing import Any, ClassVar

from mdmsdk.flow import Flow, done
from mdmsdk.ise import IseProvider, IseSettings
from mdmsdk.ise.reader import Row, boolean
from mdmsdk.models import ComplianceState, Device, ServerInfo
from mdmsdk.provider import Limits, Page, Token, basic_token


class DialectProvider(IseProvider):
    """The ISE face of a vendor that bars devices beside judging them."""

    name = "dialect"
    vendor = "Dialect"
    settings_type: ClassVar[type[IseSettings]] = IseSettings
    limits = Limits(burst=5, concurrency=4)

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        return done(basic_token(self.settings.username, self.settings.password.get_secret_value()))

    def to_device(self, row: Row, *, listed: bool = False) -> Device:
        device = super().to_device(row, listed=listed)
        attributes: Any = row.get("attributes")
        text = attributes.get("barred") if isinstance(attributes, dict) else None
        barred = boolean(text if isinstance(text, str) else None)
        if barred:
            return device.judged(state=ComplianceState.NONCOMPLIANT, reasons=("The vendor bars it.",))
        if barred is None and device.compliance.state is ComplianceState.COMPLIANT:
            return device.judged(state=ComplianceState.UNKNOWN)
        return device

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        page = yield from super().noncompliant_page(info, cursor)
        left = [device for device in page.items if device.registered]
        sent = [device.guid or device.serial_number for device in page.items]
        return Page(left, page.next_cursor, sent=sent)
