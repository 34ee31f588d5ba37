"""Settings of the servers that speak the Cisco ISE MDM API."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.settings import BasicUsername, ProviderSettings, Settings

__all__ = ["IseDialectSettings", "IseServiceSettings", "IseSettings", "ProtocolSettings"]

_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w.~%:@!$&'()*+,;=-]+)*", re.ASCII)
_FILTER = re.compile(r"[A-Za-z_]+(?:\+[A-Za-z_]+)*")


def _check_path(text: str) -> str:
    text = text.strip().strip("/")
    path = f"/{text}" if text else ""
    if not _PATH.fullmatch(path):
        raise ValueError("a path such as /part/part is wanted, without host, question mark or spaces")
    return path


def _check_filter(text: str) -> str:
    if not _FILTER.fullmatch(text):
        raise ValueError("all, or attribute names joined by +, are wanted")
    return text


def _check_kinds(names: frozenset[str]) -> frozenset[str]:
    if unknown := names - KEY_KINDS.keys():
        raise ValueError(f"{', '.join(sorted(unknown))}: kinds are wanted, of: {', '.join(KEY_KINDS)}")
    return names


ServerPath = Annotated[str, AfterValidator(_check_path)]
"""A path from the root of the host; with a slash at its start, none at its end."""


class ProtocolSettings(Settings):
    """What servers of the Cisco ISE MDM API do differently.

    Attributes:
        instance: the path that the vendor's own set-up page names, Cisco's "Instance Name".
        api_version: the highest version of the API to ask for.
        api_path: where the device list is, from the root of the host; default: what the server says.
        filter: the attributes to ask for, names joined by ``+``; without the identifiers among them, no
            answer can be checked.
        max_user_devices: the most devices that a user name may give. The answer does not repeat the name:
            more rows than this are taken for the answer of a server that ignored it.
    """

    instance: ServerPath = ""
    api_version: Literal[1, 2, 3] = 3
    api_path: ServerPath | None = None
    filter: Annotated[str, AfterValidator(_check_filter)] = "all"
    max_user_devices: int = Field(default=100, ge=1)


class IseServiceSettings(ProviderSettings):
    """What a dialect needs whose vendor runs the one service, so that nothing of the protocol is open.

    Attributes:
        bulk_identifier: by what version 3 names the devices of the noncompliant list; default: by GUID, and
            by MAC address where that is refused or gives nothing.
        trust_silent: kinds of keys, such as ``["hostname", "username"]``, for which an answer that does not
            show the key is taken for the device all the same. Without it, the compliance of such a record is
            unknown: a stale or mixed-up answer could not be told. Records of this protocol have no member
            for host name and user name.
    """

    bulk_identifier: Literal["guid", "macaddress"] | None = None
    trust_silent: Annotated[frozenset[str], AfterValidator(_check_kinds)] = frozenset()


class IseDialectSettings(ProtocolSettings, IseServiceSettings):
    """What every other dialect of the Cisco ISE MDM API needs, however it logs in."""


class IseSettings(IseDialectSettings):
    """Settings of `mdmsdk.ise.IseProvider`: HTTP Basic authentication.

    Attributes:
        username: an account that may use the API.
        password: its password.
    """

    username: BasicUsername
    password: SecretStr
