"""Mistakes of an application that a type checker tells before the program runs.

`test_misuses.py` lets mypy and pyright read this file; each line with a comment ``wrong`` is told by
both, and no other line by either.
"""

from pydantic import SecretStr

import mdmsdk
from mdmsdk import (
    Answer,
    AsyncMdmClient,
    Compliance,
    ComplianceState,
    Device,
    Mac,
    MdmClient,
    Policy,
    Rules,
)
from mdmsdk.ise import IseSettings
from mdmsdk.testing import FakeMdmClient

URL = "https://mdm.example"
SECRET = SecretStr("x")
GOOD = IseSettings(base_url=URL, username="nac", password=SECRET)


def settings() -> None:
    mdmsdk.connect(GOOD)
    mdmsdk.connect("jamf-ise", GOOD)
    IseSettings(base_url=URL, usrname="nac", password=SECRET)  # wrong: a setting's name
    IseSettings(base_url=URL, username="nac", password="x")  # wrong: a secret in clear
    IseSettings(base_url=URL, username="nac")  # wrong: a setting is missing
    mdmsdk.connect(GOOD, password="x")  # wrong: settings beside a settings object
    mdmsdk.connect({"base_url": URL})  # wrong: no settings
    GOOD.base_url = "https://elsewhere.example"  # wrong: settings are frozen
    Policy(time_out=3.0)  # wrong: policy's name
    Rules(minimum_os=["macOS 14"])  # wrong: type of a rule


def policies(client: MdmClient) -> None:
    client.with_policy(timeout=2.0, attempts=1)
    client.with_policy(time_out=2.0)  # wrong: policy's name
    client.with_policy(timeout="2 s")  # wrong: policy's type
    client.lookup(Mac("00:1B:44:11:3A:B7"), deadline="1 s")  # wrong: type of the deadline


def keys(client: MdmClient) -> None:
    client.lookup(0x001B44113AB7)  # wrong: type of a key
    client.lookup(None)  # wrong: no key
    list(client.lookup_many([b"serial:S"]))  # wrong: type of keys


def answers(client: MdmClient, answer: Answer) -> bool:
    device = client.lookup("serial:S")
    if device.registered:  # wrong: the device may be unknown
        pass
    if device is None:
        return False
    device.registered = True  # wrong: answers are frozen
    device.compliance.state = ComplianceState.COMPLIANT  # wrong: verdicts are frozen
    Compliance(state="compliannt")  # wrong: word of a state
    ComplianceState.COMPLAINT  # wrong: word of a state
    return answer.compliance == "compliant"  # wrong: an answer's attribute


async def asynchronous(client: AsyncMdmClient) -> None:
    device = client.lookup("serial:S")
    device.name  # wrong: a forgotten await
    with client:  # wrong: a forgotten async
        pass


def fakes() -> None:
    fake = FakeMdmClient([Device(registered=True)])
    fake.lookup(7)  # wrong: type of a key, as with the real one
