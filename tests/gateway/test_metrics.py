"""What Prometheus reads: who may, and that each number is what it says."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import Gauge, mmap_dict
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from mdmsdk._run import waits_aio
from mdmsdk._run.gate import Breaker, Gate
from mdmsdk._run.quotas import Asked
from mdmsdk._run.stop import Stop
from mdmsdk.directory import DirectorySettings
from mdmsdk.errors import ConnectError
from mdmsdk.gateway import GatewaySettings
from mdmsdk.gateway.gateway import Gateway
from mdmsdk.gateway.metrics import _NEVER, Metrics
from mdmsdk.gateway.together import forget
from mdmsdk.provider import Limits
from mdmsdk.testing import FakeAsyncMdmFederation, FakeServer
from tests.gateway.conftest import GUID, KEY, MAC, device

if TYPE_CHECKING:
    from tests.gateway.conftest import Faces, Open

BARE = MAC.replace(":", "")
READER = "a-key-of-prometheus"
KEYS = [
    {"name": "somebody", "sha256": hashlib.sha256(KEY.encode()).hexdigest()},
    {"name": "prometheus", "sha256": hashlib.sha256(READER.encode()).hexdigest(), "scopes": ["metrics"]},
]


class Read:
    """The samples of a page of metrics."""

    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._values = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        """The value of a sample; None if there is none."""
        return self._values.get((f"mdm_{name}", tuple(sorted(labels.items()))))

    @property
    def labels(self) -> set[str]:
        """All values of labels."""
        return {value for _, labels in self._values for _, value in labels}


def read(faces: Faces) -> Read:
    answer = faces.rest.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Read(answer.text)


def test_decisions_and_servers_are_counted(gateway: Open) -> None:
    servers = {"one": [device()], "two": FakeServer(down=ConnectError("no route"))}
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    denial = {"key": f"guid:{GUID}", "decision": "deny", "until": until, "reason": "lost", "by": "noc"}
    faces: Faces = gateway(servers, metrics="loopback", overrides=[denial])
    faces.rest.get("/v1/devices/mac/00:1B:44:11:3A:B8")
    faces.ask(3, "macaddress", BARE)
    faces.ise.get("/ciscoise/mdminfo/", auth=("nobody", "wrong"))
    faces.rest.get("/nowhere")
    value = read(faces)
    assert value("gateway_decisions_total", face="rest", decision="no_answer") == 1
    assert value("gateway_decisions_total", face="ise", decision="noncompliant") == 1
    assert value("gateway_overridden_total", decision="deny") == 1
    assert value("gateway_overrides", decision="deny") == 1
    assert value("gateway_overrides", decision="allow") == 0
    assert value("gateway_decision_seconds_count", face="ise") == 1
    assert value("server_answers_total", server="one", status="found", source="server") == 1
    assert value("server_answers_total", server="two", status="error", source="server") == 2
    assert value("server_answer_seconds_count", server="one") == 2
    assert value("gateway_responses_total", face="ise", status="401") == 1
    assert value("gateway_responses_total", face="other", status="404") == 1
    assert value("server_breaker_open", server="one") == 0
    left = value("server_requests_left", server="one")
    assert left
    assert left >= 1
    assert not {MAC, BARE, GUID} & value.labels


def test_what_the_cache_and_the_directory_say_is_told_apart(gateway: Open) -> None:
    options = {"cache_ttl": 60.0, "directory": DirectorySettings()}
    faces: Faces = gateway({"one": [device()]}, metrics="loopback", federation=options)
    faces.rest.get(f"/v1/devices/mac/{MAC}")
    faces.rest.get(f"/v1/devices/mac/{MAC}")
    value = read(faces)
    assert value("server_answers_total", server="one", status="found", source="server") == 1
    assert value("server_answers_total", server="one", status="found", source="cache") == 1
    assert value("server_answer_seconds_count", server="one") == 1
    assert value("directory_answers_total", server="one", said="unsure") == 1
    assert read(faces)("directory_answers_total", server="one", said="unsure") == 1


def test_the_age_of_the_list_is_that_of_one_that_was_whole(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device("noncompliant")]}, metrics="loopback")
    age = read(faces)("gateway_list_age_seconds")
    assert age is not None
    assert math.isnan(age)
    faces.ask(2, "compliance", "false")
    age = read(faces)("gateway_list_age_seconds")
    assert age is not None
    assert 0 <= age < 60


def test_lost_lines_of_the_audit_log_are_counted(
    gateway: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    audit = {"file": str(tmp_path / "log"), "keys": "clear"}
    faces: Faces = gateway({"one": [device()]}, metrics="loopback", audit=audit)
    with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL):
        patched.setattr("os.write", full)
        faces.rest.get(f"/v1/devices/mac/{MAC}")
        faces.rest.get(f"/v1/devices/mac/{MAC}")
    assert read(faces)("gateway_audit_lost_total") == 2


def test_who_may_read_them(gateway: Open) -> None:
    faces: Faces = gateway({"one": []})
    assert faces.rest.get("/metrics").status_code == 404
    faces = gateway({"one": []}, metrics="key", rest={"keys": KEYS})
    assert faces.ise.get("/metrics").status_code == 401
    assert faces.rest.get("/metrics").status_code == 403
    key = {"Authorization": f"Bearer {READER}"}
    assert faces.rest.get("/metrics", headers=key).status_code == 200
    assert faces.rest.get(f"/v1/devices/mac/{MAC}", headers=key).status_code == 403
    with pytest.raises(ValidationError, match="metrics"):
        GatewaySettings.model_validate({"metrics": "key"})


def test_a_breaker_and_a_gate_say_how_they_are() -> None:
    breaker = Breaker()
    states = [breaker.is_open]
    breaker.failure(1, 60.0)
    states.append(breaker.is_open)
    breaker.success()
    states.append(breaker.is_open)
    assert states == [False, True, False]
    gate = Gate(waits_aio, Stop(), 10, Limits(rate=0.001, burst=3, concurrency=10))
    rooms = [gate.room()]
    turns = [gate.turn() for _ in range(4)]
    for turn in turns:
        turn.take_at_once()
        rooms.append(gate.room())
    assert rooms == [3, 2, 1, 0, 0]
    assert Gate(waits_aio, Stop(), 2, Limits()).room() == 2
    gate = Gate(waits_aio, Stop(), 2, Limits())
    gate.hold(Asked(60))
    assert gate.room() == 0


def test_of_a_worker_that_ended_what_it_counted_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for name in ("counter_17.db", "gauge_livemin_17.db", "gauge_livemax_17.db", "gauge_livemin_18.db"):
        (tmp_path / name).touch()
    forget(17)
    assert {path.name for path in tmp_path.iterdir()} == {"counter_17.db", "gauge_livemin_18.db"}


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_workers_one_that_never_read_hides_no_other(
    gateway: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """What two workers wrote, as prometheus-client keeps it; in whichever order it is read."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr("glob.glob", lambda _: sorted(map(str, tmp_path.iterdir()))[::order])
    faces: Faces = gateway({"one": []}, metrics="loopback")
    written: dict[str, tuple[float, float]] = {
        "livemin gateway_list_age_seconds": (_NEVER, 5.0),
        "livemax directory_age_seconds": (7.0, 5.0),
        "livemin server_requests_left": (3.0, 8.0),
        "livemax server_breaker_open": (0.0, 1.0),
    }
    for what, values in written.items():
        mode, name = what.split()
        labels = [] if name.startswith("gateway") else ["server"]
        for process, value in enumerate(values):
            file: Any = mmap_dict.MmapedDict(str(tmp_path / f"gauge_{mode}_{process}.db"))  # type: ignore[no-untyped-call]
            key = mmap_dict.mmap_key(f"mdm_{name}", f"mdm_{name}", labels, ["one"][: len(labels)], "Help.")
            file.write_value(key, value, 0.0)
            file.close()
    found = read(faces)
    assert found("gateway_list_age_seconds") == 5
    assert found("directory_age_seconds", server="one") == 7
    assert found("server_requests_left", server="one") == 3
    assert found("server_breaker_open", server="one") == 1
    modes = {
        f"{one._multiprocess_mode} {one._name.removeprefix('mdm_')}"
        for one in vars(Metrics(Gateway(FakeAsyncMdmFederation({"one": []}), GatewaySettings()))).values()
        if isinstance(one, Gauge)
    }
    assert modes == {*written, "livemax gateway_overrides"}


def test_the_dashboard_names_no_metric_that_is_not_there(gateway: Open) -> None:
    path = Path(__file__).parents[2] / "deploy" / "grafana" / "mdm-gateway.json"
    board = json.loads(path.read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for text in asked for name in re.findall(r"\bmdm_\w+", text)}
    faces: Faces = gateway({"one": []}, metrics="loopback", federation={"directory": DirectorySettings()})
    text = faces.rest.get("/metrics").text
    kinds = dict(re.findall(r"^# TYPE (mdm_\w+) (\w+)$", text, re.MULTILINE))
    there = {f"{name}_bucket" if kind == "histogram" else name for name, kind in kinds.items()}
    assert named == {name for name in there if not name.endswith("_created")}
    labels = set(re.findall(r"\b(\w+)=~?", " ".join(asked))) - {"job"}
    assert labels <= {"decision", "source", "status"}
