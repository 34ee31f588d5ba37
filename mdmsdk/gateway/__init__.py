"""A daemon over a federation, for programs that are not Python and for network gear (extra "gateway").

It has faces: the Cisco ISE MDM API, as a network access controller asks it, and a REST interface. `app` gives
the ASGI application; ``mdm serve`` runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdmsdk.gateway.settings import GatewaySettings, IseFace, RestFace, RestKey

if TYPE_CHECKING:
    from mdmsdk.federation import AsyncMdmFederation

__all__ = ["GatewaySettings", "IseFace", "RestFace", "RestKey", "app"]


def app(federation: AsyncMdmFederation, settings: GatewaySettings | None = None) -> Any:
    """The ASGI application of a gateway.

    Args:
        federation: whom to ask. The application uses it while it runs, and leaves closing to its owner.
        settings: which faces there are, and who may ask; default: none but ``/healthz`` and ``/readyz``.

    Returns:
        An application for uvicorn, or another server of ASGI 3 with lifespan.
    """
    from mdmsdk.gateway.asgi import build

    return build(federation, settings or GatewaySettings())
