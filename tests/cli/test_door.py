"""`mdm lookup --cert`, `mdm devices` and `mdm config check`, against a simulator."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cli.test_servers import only

if TYPE_CHECKING:
    from pathlib import Path

    from mdmsdk.simulator import Fleet
    from tests.cli.conftest import Configure, Run, Start

NOW = dt.datetime.now(dt.UTC)


def issue(path: Path, name: str, days: int = 1) -> Path:
    """A certificate with a common name, valid for some days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7)
    builder = builder.not_valid_before(NOW - dt.timedelta(days=9)).not_valid_after(
        NOW + dt.timedelta(days=days)
    )
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


class TestCertificate:
    @pytest.mark.parametrize("state", ["compliant", "noncompliant"])
    def test_the_device_of_a_certificate(
        self, mdm: Run, config: Path, fleet: Fleet, tmp_path: Path, state: str
    ) -> None:
        device = only(fleet, state)
        cert = issue(tmp_path / "device.pem", f"ID:Simulated:GUID:{device.guid}")
        result = mdm("lookup", "--cert", cert, "--config", config)
        assert (result.code, result.err) == (0, "")
        (row,) = result.lines
        assert (row["kind"], row["decision"]) == ("guid", state)

    @pytest.mark.parametrize(
        ("subject", "words"), [(("Jane Doe", 1), "names no device"), (("ID:A:GUID:b", -1), "expired on")]
    )
    def test_one_that_names_none_is_told(
        self, mdm: Run, config: Path, tmp_path: Path, *, subject: tuple[str, int], words: str
    ) -> None:
        result = mdm("lookup", "--cert", issue(tmp_path / "c.pem", *subject), "--config", config)
        assert (result.code, result.out) == (2, "")
        assert words in result.err

    def test_a_file_that_is_none_is_told(self, mdm: Run, config: Path, tmp_path: Path) -> None:
        for path, words in ((config, "certificate"), (tmp_path / "nowhere.pem", "cannot be read")):
            result = mdm("lookup", "--cert", path, "--config", config)
            assert result.code == 2
            assert words in result.err
        assert mdm("lookup", "serial:x", "--cert", config).code == 2


def test_a_mac_that_the_device_made_up_is_told(mdm: Run, config: Path) -> None:
    result = mdm("lookup", "F2:F1:BB:F0:31:A9", "F2:F1:BB:F0:31:AA", "--config", config)
    assert result.code == 1
    assert result.err.count("made up") == 1


def test_all_devices(mdm: Run, configure: Configure, start: Start, fleet: Fleet) -> None:
    config = configure(main=start(fleet, accepts=frozenset({"inventory"})))
    result = mdm("devices", "--config", config, "--format", "csv")
    assert (result.code, result.err) == (0, "")
    listed = [row["guid"] for row in csv.DictReader(io.StringIO(result.out))]
    assert set(listed) == {device.guid for device in fleet if device.registered}


class TestConfigCheck:
    def test_a_good_one(self, mdm: Run, config: Path) -> None:
        result = mdm("config", "check", config)
        assert (result.code, result.out) == (0, "")
        assert "no problem" in result.err

    def test_every_problem_with_its_line(self, mdm: Run, configure: Configure) -> None:
        path = configure(main={"provider": "ise", "base_url": "http://x.example", "pasword": "hunter2"})
        result = mdm("config", "check", "--config", path)
        assert result.code == 2
        assert "hunter2" not in result.out + result.err
        assert [row["setting"].rpartition(".")[2] for row in result.lines] == [
            "username",
            "password",
            "base_url",
            "pasword",
        ]
        assert result.lines[0]["line"] == 1
