import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmsdk.simulator.fleet import REFERENCE_TIME, Fleet, SimDevice

sizes = st.integers(0, 150)
seeds = st.integers(0, 2**32)


def luhn_holds(digits: str) -> bool:
    doubled = [int(digit) * (1 + position % 2) for position, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


@given(sizes, seeds)
@settings(max_examples=30, deadline=None)
def test_the_same_arguments_give_the_same_fleet(size: int, seed: int) -> None:
    assert list(Fleet.generate(size, seed)) == list(Fleet.generate(size, seed))
    assert len(Fleet.generate(size, seed)) == size


def test_another_seed_gives_other_devices() -> None:
    first, second = Fleet.generate(50, seed=1), Fleet.generate(50, seed=2)
    assert not {device.guid for device in first} & {device.guid for device in second}


def test_the_default_fleet_is_the_one_that_documents_and_cassettes_show() -> None:
    device = Fleet.generate()[0]
    assert (device.id, device.username, device.wifi_mac) == (1001, "ada.abara", "00005E2265B1")


@given(sizes, seeds)
@settings(max_examples=50, deadline=None)
def test_every_device_is_consistent(size: int, seed: int) -> None:
    for device in Fleet.generate(size, seed):
        check(device)


def check(device: SimDevice) -> None:
    for mac in device.mac_addresses:
        assert len(mac) == 12
        assert mac == mac.upper()
        assert int(mac, 16)
        assert not int(mac[:2], 16) & 1, "a multicast address cannot belong to a device"
    assert device.imei is None or (len(device.imei) == 15 and luhn_holds(device.imei))
    assert device.meid is None or (len(device.meid) == 14 and int(device.meid, 16))
    assert len(device.guid) == 36
    assert device.email.endswith("@example.com")
    assert device.username.isascii()
    assert device.phone_number is None or device.phone_number[5:10] == "55501"
    assert bool(device.failure_reasons) == (device.compliance in {"noncompliant", "grace"})
    assert (device.grace_until is not None) == (device.compliance == "grace")
    assert device.managed == device.registered
    if device.last_check_in is None:
        assert device.disk_encrypted is device.passcode_set is device.jailbroken is None
    else:
        assert device.last_check_in.utcoffset() == timedelta(0)
        assert device.enrolled_at < device.last_check_in < REFERENCE_TIME
    if device.compliance == "compliant":
        assert device.jailbroken is False


@given(st.integers(12, 200), seeds)
@settings(max_examples=40, deadline=None)
def test_twelve_devices_show_every_case(size: int, seed: int) -> None:
    fleet = Fleet.generate(size, seed)
    assert {device.compliance for device in fleet} == {"compliant", "noncompliant", "grace", "unknown"}
    assert any(len(device.mac_addresses) > 1 for device in fleet)
    assert any(not device.mac_addresses for device in fleet)
    assert any(device.has_random_mac for device in fleet)
    assert fleet.never_checked_in()
    assert fleet.unregistered()
    assert fleet.duplicates()
    assert fleet.shared_macs()


@given(st.integers(12, 200), seeds)
@settings(max_examples=40, deadline=None)
def test_a_device_enrolled_twice_keeps_its_hardware_and_not_its_record(size: int, seed: int) -> None:
    for records in Fleet.generate(size, seed).duplicates():
        newest, *older = sorted(records, key=lambda record: str(record.last_check_in), reverse=True)
        for record in older:
            assert record.mac_addresses == newest.mac_addresses
            assert (record.udid, record.imei) == (newest.udid, newest.imei)
            assert record.guid != newest.guid
            assert record.id != newest.id
            assert record.last_check_in is not None
            assert newest.last_check_in is not None
            assert record.last_check_in < newest.last_check_in


def test_some_duplicates_disagree_and_some_agree() -> None:
    groups = Fleet.generate(400).duplicates()
    verdicts = [len({record.compliance for record in group}) for group in groups]
    assert 1 in verdicts
    assert 2 in verdicts


def test_a_fleet_without_cases_is_plain() -> None:
    fleet = Fleet.generate(300, cases=False, mix={"noncompliant": 1.0})
    assert len(fleet.noncompliant()) == 300
    assert not fleet.duplicates()
    assert not fleet.shared_macs()
    assert not fleet.unregistered()
    assert not fleet.never_checked_in()


@given(st.integers(1, 150), seeds, st.data())
@settings(max_examples=40, deadline=None)
def test_every_query_finds_exactly_the_devices_that_have_the_value(
    size: int, seed: int, data: st.DataObject
) -> None:
    fleet = Fleet.generate(size, seed)
    device = data.draw(st.sampled_from(list(fleet)))
    assert fleet.by_id(device.id) is device
    assert fleet.by_id(str(device.id)) is device
    assert fleet.by_guid(device.guid.upper()) == (device,)
    assert fleet.by_udid(device.udid) == fleet.select(lambda other: other.udid == device.udid)
    assert device in fleet.by_serial(device.serial_number.lower())
    assert device in fleet.by_hostname(device.hostname)
    assert device in fleet.by_email(device.email)
    assert fleet.by_username(device.username) == fleet.select(lambda other: other.username == device.username)
    for mac in device.mac_addresses:
        spelled = ":".join(mac[at : at + 2] for at in range(0, 12, 2)).lower()
        assert fleet.by_mac(spelled) == tuple(d for d in fleet if mac in d.mac_addresses)
    if device.imei:
        assert device in fleet.by_imei(device.imei)
    if device.meid:
        assert device in fleet.by_meid(device.meid.lower())
    if device.directory_id:
        assert device in fleet.by_directory_id(device.directory_id)


def test_what_nobody_has_is_not_found() -> None:
    fleet = Fleet.generate(50)
    assert fleet.by_id(1) is None
    assert fleet.by_id("abc") is None
    assert fleet.by_mac("000000000000") == ()
    assert fleet.by_guid("") == ()


def test_noncompliant_are_the_enrolled_ones_in_a_stable_order() -> None:
    fleet = Fleet.generate(300)
    listed = fleet.noncompliant()
    assert [device.id for device in listed] == sorted(device.id for device in listed)
    assert listed == tuple(d for d in fleet if d.registered and d.compliance == "noncompliant")
    assert set(listed) <= set(fleet.with_compliance("noncompliant"))


def test_changes_give_another_fleet() -> None:
    fleet = Fleet.generate(50)
    device = fleet.noncompliant()[0]
    mended = fleet.replace(device, compliance="compliant", failure_reasons=())
    assert device in fleet.noncompliant()
    assert device.id not in {other.id for other in mended.noncompliant()}
    assert len(fleet.without(device, fleet[0].id)) == 48
    assert len(fleet.without(device).including(device)) == 50
    assert fleet[:2] == (fleet[0], fleet[1])


def test_two_devices_with_one_id_are_refused() -> None:
    fleet = Fleet.generate(5)
    with pytest.raises(ValueError, match="same id"):
        fleet.including(fleet[0])


def test_a_mix_without_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="mix"):
        Fleet.generate(5, mix={"compliant": 0})


def test_hardware_identifiers_are_unique_in_a_large_fleet() -> None:
    started = time.thread_time()  # another program's time is none of ours
    fleet = Fleet.generate(5_000, cases=False)
    assert time.thread_time() - started < 4, "5,000 devices take a fraction of a second"
    for values in (
        [mac for device in fleet for mac in device.mac_addresses],
        [device.guid for device in fleet],
        [device.udid for device in fleet],
        [device.serial_number for device in fleet],
        [device.imei for device in fleet if device.imei],
        [device.hostname for device in fleet],
    ):
        assert len(values) == len(set(values))
