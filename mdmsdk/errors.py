"""Every error that the SDK raises, grouped by what the caller should do about it.

::

    MdmError                        .server .provider .operation .request_id .retryable .hint
    ├── ConfigurationError          correct the settings; nothing was sent
    │   ├── UnknownProviderError    (LookupError)  no such plugin is installed
    │   ├── ProviderLoadError       (ImportError)  the plugin is installed but broken
    │   ├── InvalidIdentifierError  (ValueError)   the key is not a MAC, UDID, GUID ...
    │   └── SecretError             a secret could not be read from where it is kept
    ├── TransportError              look at the network between here and the server
    │   ├── ConnectError            (ConnectionError)
    │   ├── MdmTimeoutError         (TimeoutError) one request took too long
    │   ├── DeadlineExceededError   (TimeoutError) the whole operation took too long
    │   └── TlsError                the server's certificate is not trusted
    ├── ResponseError               .status .retry_after .url; the server refused
    │   ├── AuthenticationError     401
    │   ├── PermissionDeniedError   403
    │   ├── EndpointNotFoundError   404: the address is wrong, not the device unknown
    │   ├── RateLimitedError        429, or 503 with the server's own wait
    │   └── ServerError             5xx
    ├── TokenError                  .step .vendor_code; the login service refused
    ├── ProtocolError               the answer cannot be trusted
    │   ├── MalformedResponseError  not what the protocol says
    │   ├── VersionMismatchError    no common API version
    │   ├── FilterIgnoredError      the answer is about other devices than the one asked for
    │   ├── RedirectError           sent to a place that must not see the credential
    │   ├── ResponseTooLargeError   the body exceeds the cap
    │   └── IncompleteListError     .collected; the list ended before it was complete
    ├── UnsupportedOperationError   this provider or server cannot do that
    ├── ServerUnavailableError      the circuit breaker is open; nothing was sent
    ├── PluginError                 .method; a plugin's method does not keep to the contract
    ├── StoreError                  the store is out of reach, damaged or somebody else's; lookups go on
    └── ClientClosedError           the client was closed, before or meanwhile

No message, ``repr`` or attribute ever holds a secret, a header or a whole body; all are single lines without
control characters. See `mdmsdk.silence` for what else an exception carries about.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from mdmsdk.words import safe_words

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AuthenticationError",
    "ClientClosedError",
    "ConfigurationError",
    "ConnectError",
    "DeadlineExceededError",
    "EndpointNotFoundError",
    "FilterIgnoredError",
    "IncompleteListError",
    "InvalidIdentifierError",
    "MalformedResponseError",
    "MdmError",
    "MdmTimeoutError",
    "PermissionDeniedError",
    "PluginError",
    "ProtocolError",
    "ProviderLoadError",
    "RateLimitedError",
    "RedirectError",
    "ResponseError",
    "ResponseTooLargeError",
    "SecretError",
    "ServerError",
    "ServerUnavailableError",
    "StoreError",
    "TlsError",
    "TokenError",
    "TransportError",
    "UnknownProviderError",
    "UnsupportedOperationError",
    "VersionMismatchError",
]

_LONGEST = 2000  # characters; settings are listed in hints
_LONGEST_ID = 100


class Where(TypedDict, total=False):
    """The keywords that every error takes; `MdmError` explains them."""

    server: str | None
    provider: str | None
    operation: str | None
    request_id: str | None
    retryable: bool | None
    hint: str | None


class MdmError(Exception):
    """Base of all errors.

    Attributes:
        server: the configured name of the server, or its host.
        provider: the entry-point name of the provider, such as ``"jamf"``.
        operation: what was being done: ``"login"``, ``"heartbeat"``, ``"find"`` ...
        request_id: the identifier that the vendor gave the failed request, for its support desk.
        retryable: whether the same call may succeed later without a change of settings.
        hint: what an administrator should do.
    """

    retryable: bool = False
    hint: str | None = None

    def __init__(self, message: str, **where: Unpack[Where]) -> None:
        self.message = message
        super().__init__(self.message)
        self.server = where.get("server")
        self.provider = where.get("provider")
        self.operation = where.get("operation")
        self.request_id: str | None = where.get("request_id")
        # Unset, these two stay what the class says.
        if (retryable := where.get("retryable")) is not None:
            self.retryable = retryable
        if (hint := where.get("hint")) is not None:
            self.hint = hint

    def __setattr__(self, name: str, value: Any) -> None:
        """Let only text in that is fit to be shown: a server, a file or a key may have had a say in it."""
        if isinstance(value, str):
            value = safe_words(value, _LONGEST_ID if name == "request_id" else _LONGEST)
        super().__setattr__(name, value)

    def __str__(self) -> str:
        return f"{self.server}: {self.message}" if self.server else self.message

    def locate(self, *, server: str | None, provider: str | None, operation: str | None) -> None:
        """Fill in where the error happened, as far as it is not known yet."""
        self.server = self.server or server
        self.provider = self.provider or provider
        self.operation = self.operation or operation


def error_record(error: MdmError) -> dict[str, Any]:
    """An error as JSON can hold it: its type, and all that it says; not what it was caused by."""
    said: dict[str, Any] = {
        name: value for name, value in vars(error).items() if isinstance(value, str | int | float)
    }
    if failures := getattr(error, "failures", ()):
        said["failures"] = list(map(error_record, failures))
    said |= {"type": type(error).__name__, "hint": error.hint, "retryable": error.retryable}
    return said


def error_from_record(record: Mapping[str, Any]) -> MdmError:
    """The error that `error_record` wrote; a plain `MdmError` where its type is a plugin's own.

    Raises:
        ValueError: it wrote no such record.
    """
    said = dict(record)
    name, message = said.pop("type", None), said.pop("message", None)
    if not (isinstance(name, str) and isinstance(message, str)):
        raise ValueError("an error with type and message is wanted")  # noqa: TRY004 - pydantic's convention
    kind = globals()[name] if name in __all__ else MdmError
    if failures := said.pop("failures", ()):
        said["failures"] = tuple(map(error_from_record, failures))
    known = inspect.signature(kind).parameters.keys() | Where.__annotations__.keys()
    error: MdmError = kind(message, **{word: value for word, value in said.items() if word in known})
    return error


class ConfigurationError(MdmError):
    """The settings are missing, wrong or contradict each other."""


class UnknownProviderError(ConfigurationError, LookupError):
    """No installed plugin has this name."""


class ProviderLoadError(ConfigurationError, ImportError):
    """The plugin is installed, but importing it failed or it is not a provider."""


class InvalidIdentifierError(ConfigurationError, ValueError):
    """The text is not an identifier of the kind asked for, or could be of several kinds."""


class SecretError(ConfigurationError):
    """A secret could not be read from the environment, file, keyring or command that holds it."""


class TransportError(MdmError):
    """No answer came back."""

    retryable: bool = True
    hint: str = "Look at the network between here and the server, and at the proxy setting."


class ConnectError(TransportError, ConnectionError):
    """The server was not reached, or it broke the connection off."""

    hint: str = "Check the host name and port, the route and the firewall, and the proxy setting."


class MdmTimeoutError(TransportError, TimeoutError):
    """One request took longer than ``policy.timeout``."""

    hint: str = "Check that the server is up and the network lets it answer, or raise policy.timeout."


class DeadlineExceededError(TransportError, TimeoutError):
    """The operation, with its login, waits and retries, took longer than ``policy.deadline``."""

    hint: str = "The server or the login service is slow: look at it, or raise policy.deadline."


class TlsError(TransportError):
    """The secure connection could not be made, most often because the certificate is not trusted."""

    retryable: bool = False
    hint: str = (
        "Put the whole certificate chain (root and intermediates) of the host that really answers into "
        "tls.ca_file; behind an inspecting proxy that is the proxy's own chain."
    )


class ResponseError(MdmError):
    """The server answered with an error status.

    Attributes:
        status: the HTTP status code.
        retry_after: seconds that the server asks to wait, if it said so.
        url: the address asked, with every value that could be private left out.
    """

    hint: str = (
        "The server does not take this request: check base_url, and that the plugin supports the server's "
        "version; the vendor's support can look the request id up."
    )

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        retry_after: float | None = None,
        url: str | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.status = status
        self.retry_after = retry_after
        self.url = url


class AuthenticationError(ResponseError):
    """The credential was refused (401)."""

    hint: str = "Check the user name and password or the API client, and that the account may use the API."


class PermissionDeniedError(ResponseError):
    """The credential is valid, but lacks a right (403)."""

    hint: str = "Grant the account the role or privilege that the vendor's how-to page names."


class EndpointNotFoundError(ResponseError):
    """The address does not exist on the server (404). An unknown device is never reported this way."""

    hint: str = "Check base_url and, where the vendor has one, the instance name or path."


class RateLimitedError(ResponseError):
    """The server asks for fewer requests (429, or 503 with its own wait)."""

    retryable: bool = True
    hint: str = "Ask less often; the server says how long to wait in retry_after."


class ServerError(ResponseError):
    """The server failed (5xx)."""

    retryable: bool = True
    hint: str = "Look at the server's own log and status page; try again later."


class TokenError(MdmError):
    """The login service did not give a token.

    Attributes:
        step: which step of the login failed.
        vendor_code: the vendor's own code, such as ``"AADSTS7000215"``.
    """

    hint: str = (
        "Check the client or account in the settings, that it is enabled and its secret has not expired; and "
        "the address of the login service."
    )

    def __init__(
        self,
        message: str,
        *,
        step: str | None = None,
        vendor_code: str | None = None,
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.step = step
        self.vendor_code = vendor_code


class ProtocolError(MdmError):
    """The server answered something that must not be turned into a verdict."""

    hint: str = (
        "Check base_url and what answers there; if it is the MDM, report this to the plugin's publisher."
    )


class MalformedResponseError(ProtocolError):
    """The body is not what the protocol says: HTML, truncated, of another type."""

    hint: str = (
        "Something else than the MDM may answer here, such as a login page or a proxy: check base_url."
    )


class VersionMismatchError(ProtocolError):
    """Server and provider have no API version in common."""

    hint: str = "Set api_version to one that the server offers, or update the server."


class FilterIgnoredError(ProtocolError):
    """The server returned other devices than the one asked for."""

    hint: str = (
        "The server seems to ignore this search; ask by another identifier and report it to the vendor."
    )


class RedirectError(ProtocolError):
    """The server sends the client to a place that may not see the credential, or in circles."""

    hint: str = (
        "Look at what answers there, and set base_url to the address where the API really lives. If the "
        "other host is yours, add it to redirect_hosts."
    )


class ResponseTooLargeError(ProtocolError):
    """The body is larger than ``policy.max_body``, measured after decompression."""

    hint: str = (
        "If answers of this size are expected, raise policy.max_body; otherwise check what answers here."
    )


class IncompleteListError(ProtocolError):
    """A list ended, failed or went in circles before it was complete.

    Attributes:
        collected: how many devices had been handed out before.
        failures: of a list over several servers, what each of those that failed ended with.
    """

    retryable: bool = True
    hint: str = (
        "Ask for the list again; until it is complete, a device that is missing from it proves nothing."
    )

    def __init__(
        self,
        message: str,
        *,
        collected: int = 0,
        failures: tuple[MdmError, ...] = (),
        **where: Unpack[Where],
    ) -> None:
        super().__init__(message, **where)
        self.collected = collected
        self.failures = failures


class UnsupportedOperationError(MdmError):
    """The provider, or this server, has no such operation.

    Raised before any request, or where a server refuses what not all of its kind have.
    """

    hint: str = "`mdm providers --details` shows what each provider can do."


class ServerUnavailableError(MdmError):
    """Too many failures in a row: the server is left alone for a while and nothing was sent."""

    retryable: bool = True
    hint: str = (
        "The earlier errors say what is wrong; the next try is made after policy.breaker_reset seconds."
    )


class PluginError(MdmError):
    """A plugin's method is no flow, yields something else than steps or gives a wrong result.

    Attributes:
        method: the method of the provider that is at fault, such as ``"find"``.
    """

    hint: str = (
        "Update the plugin, or report this to its publisher; neither server nor settings are at fault."
    )

    def __init__(self, message: str, *, method: str | None = None, **where: Unpack[Where]) -> None:
        super().__init__(message, **where)
        self.method = method


class StoreError(MdmError):
    """The store does not work: it is out of reach, full, damaged, or holds something else.

    Lookups go on without it.
    """

    retryable: bool = True
    hint: str = "Look at the table store of the configuration, and at what it names."


class ClientClosedError(MdmError):
    """The client was closed before the call, or while it was under way."""

    hint: str = "Make another client; one that stays open serves many threads or tasks, and all of a program."
