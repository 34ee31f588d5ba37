"""A local network integration of Jamf Pro, as Cisco ISE asks it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from starlette.responses import Response

from mdmsdk.simulator import IseHabits, IseSimulator
from mdmsdk_jamf.simulator import AppleFleet

__all__ = ["JamfIseHabits", "JamfIseSimulator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JamfIseHabits(IseHabits):
    """What Cisco's "Integrate ISE 3.3 with Jamf" shows of Jamf Pro 10.48.

    Attributes:
        announced: The path that the server names for its device API: from the last part of the instance on,
            or from the root of the host. In both cases it is below the instance.
    """

    instance: str = "/networkIntegrationEndpoint/7"
    api_path: str | None = "/ciscoise/v3"
    vendor: str = "JAMF Software"
    product_name: str = "JSS"
    product_version: str = "10.48.1-t1689600654"
    query_max_size: int = 1000
    messaging_support: bool = False
    announced: Literal["from the id", "from the root"] = "from the id"


class JamfIseSimulator(AppleFleet, IseSimulator):
    """A local server of one network integration; it knows Apple's devices only."""

    name: ClassVar[str] = "jamf-ise"
    habits_type: ClassVar[type[IseHabits]] = JamfIseHabits

    def _server_info(self, version: int) -> Response:
        response = super()._server_info(version)
        habits = self.habits
        if not isinstance(habits, JamfIseHabits) or habits.announced == "from the root":
            return response
        parent = habits.instance.rpartition("/")[0]
        body = bytes(response.body).replace(f"<api_path>{parent}".encode(), b"<api_path>")
        return Response(body, headers={"Content-Type": habits.content_type})
