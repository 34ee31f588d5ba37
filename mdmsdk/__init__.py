"""One Python SDK for every MDM/UEM server.

`connect` and `connect_async` give a client for one server, `MdmFederation` asks many; what they answer
and raise is in `mdmsdk.models` and `mdmsdk.errors`. Plugin authors begin at `mdmsdk.provider`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdmsdk.certificates import *
    from mdmsdk.client import *
    from mdmsdk.config import *
    from mdmsdk.errors import *
    from mdmsdk.federation import *
    from mdmsdk.identifiers import *
    from mdmsdk.models import *
    from mdmsdk.provider import *
    from mdmsdk.settings import *
    from mdmsdk.store import *

__all__ = [
    "Answer",
    "AsyncMdmClient",
    "AsyncMdmFederation",
    "AsyncStore",
    "AuthenticationError",
    "Capability",
    "ClientClosedError",
    "Compliance",
    "ComplianceSettings",
    "ComplianceState",
    "ConfigurationError",
    "ConnectError",
    "DeadlineExceededError",
    "Decision",
    "Device",
    "DeviceId",
    "EndpointNotFoundError",
    "FilterIgnoredError",
    "Guid",
    "Heartbeat",
    "Hostname",
    "Imei",
    "IncompleteListError",
    "InvalidIdentifierError",
    "Key",
    "Limits",
    "LookupResult",
    "LowerLimits",
    "Mac",
    "MalformedResponseError",
    "MdmClient",
    "MdmError",
    "MdmFederation",
    "MdmProvider",
    "MdmTimeoutError",
    "Meid",
    "Outcome",
    "Page",
    "PermissionDeniedError",
    "PluginError",
    "Policy",
    "PolicyChanges",
    "ProtocolError",
    "ProviderLoadError",
    "ProviderSettings",
    "RateLimitedError",
    "RedirectError",
    "ResponseError",
    "ResponseTooLargeError",
    "Rules",
    "SecretError",
    "Serial",
    "ServerError",
    "ServerInfo",
    "ServerUnavailableError",
    "Store",
    "StoreError",
    "StoreSettings",
    "TlsError",
    "TlsSettings",
    "TokenError",
    "TransportError",
    "Udid",
    "UnknownProviderError",
    "UnsupportedOperationError",
    "Username",
    "VersionMismatchError",
    "connect",
    "connect_async",
    "connect_server",
    "connect_server_async",
    "decide",
    "keys_from_certificate",
    "parse_key",
]

# Where the public names live, the light modules first. They are loaded when a name is first used:
# `import mdmsdk` costs next to nothing, and who only parses a MAC address never loads the HTTP library.
_HOMES = (
    "errors",
    "identifiers",
    "certificates",
    "models",
    "settings",
    "provider",
    "client",
    "config",
    "federation",
    "store",
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mdmsdk")
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"mdmsdk.{home}")
            if name in module.__all__:
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
