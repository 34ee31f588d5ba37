"""Good answers of a server, changed one thing at a time: what a careful reader makes of each is known.

Each function plays lookups on the recorded answers of a `Corpus` and gives a line for each that went wrong.
No socket and no client takes part, so that thousands of plays take a second.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import MdmError
from mdmsdk.identifiers import Mac
from mdmsdk.models import ComplianceState, Device
from mdmsdk.testing.fuzz import Circle, records_for, settled
from mdmsdk.testing.mutations import joined, without_members
from mdmsdk.testing.playing import play
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk.testing.fuzz import Asked, Corpus
    from mdmsdk.wire import Request

    Place = tuple[str, str, bytes]
    Outcome = Device | MdmError | None

__all__ = ["Probe"]

_STATUSES = (400, 401, 403, 404, 409, 410, 429, 500, 502, 503)
_PAGE = b"<!DOCTYPE html><html><body><form action='/login'>Sign in</form></body></html>"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)")
_ELSEWHERE = timezone(timedelta(hours=5, minutes=30))
_EACH, _FIRST = 2, 6


class Probe:
    """Plays lookups on the answers of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._provider = corpus.provider
        self._info = play(self._provider.heartbeat(), corpus.answer, provider=self._provider)

    # --- what to ask ---

    def _asked(self, *, guilty: bool, first: int = _EACH, most: int = _EACH) -> Iterator[Asked]:
        """Some recorded lookups of each kind of key, `first` of the first kind."""
        taken: Counter[type[Key]] = Counter()
        for asked in self._corpus.asked:
            kind = type(asked.key)
            room = first if not taken or kind is next(iter(taken)) else most
            if (asked.state == ComplianceState.COMPLIANT) != guilty and taken[kind] < room:
                taken[kind] += 1
                yield asked

    def _others(self, asked: Asked) -> Iterator[Asked]:
        """Lookups by the same kind of key whose device complies, or does not, other than this one's."""
        passes = asked.state == ComplianceState.COMPLIANT
        for other in self._corpus.asked:
            differs = (other.state == ComplianceState.COMPLIANT) != passes
            if (
                differs
                and type(other.key) is type(asked.key)
                and len(other.exchanges) == len(asked.exchanges)
            ):
                yield other

    # --- what comes of it ---

    def _rows(self, asked: Asked, changed: Mapping[Place, Response]) -> Sequence[Device]:
        return records_for(self._provider, self._info, asked.key, partial(self._answer, changed))

    def _answer(self, changed: Mapping[Place, Response], request: Request) -> Response:
        place = request.method, request.full_url, request.content()[0]
        return changed.get(place) or self._corpus.find(*place)

    def _outcome(self, asked: Asked, changed: Mapping[Place, Response]) -> Outcome:
        try:
            return settled(self._provider, asked.key, self._rows(asked, changed))
        except MdmError as error:
            return error
        except Circle:
            return MdmError("the lookup does not come to an end")
        except Exception as error:  # noqa: BLE001 - a client makes one of ours out of it
            return MdmError(f"{error!r}")

    def _body(self, place: Place, body: bytes) -> dict[Place, Response]:
        return {place: replace(self._corpus.response(place), body=body)}

    # --- the probes ---

    def members(self, absent: Container[str] = ()) -> list[str]:
        """Each member of a record that does not comply missing or senseless: never a pass.

        Args:
            absent: members that mean something by not being there.
        """
        wrong = []
        often: Counter[Any] = Counter()

        def wanted(name: str, value: Any) -> bool:
            # A word may be the one that counts in some records only: in those of each kind it is tried.
            word = isinstance(value, bool) or (isinstance(value, str) and value.isalpha())
            what = (name, str(value), said) if word else name
            often[what] += 1
            return often[what] <= _EACH

        for asked in self._asked(guilty=True, first=len(self._corpus.asked)):
            good = self._outcome(asked, {})
            said = (good.registered, good.compliance.vendor_state) if isinstance(good, Device) else None
            for place in asked.exchanges:
                for body, how in without_members(self._corpus.response(place).body, wanted):
                    if how.removeprefix("without ") in absent:
                        continue
                    if _passes(self._outcome(asked, self._body(place, body))):
                        wrong.append(f"{asked.key!r} ({asked.state}) passes: {how}")
        return wrong

    def refusals(self) -> list[str]:
        """An error status, or a web page with 200, for each request of a lookup: never "not found"."""
        wrong = []
        bad = [Response(status, {"content-type": "text/html"}, _PAGE) for status in (200, *_STATUSES)]
        bad += [Response(status, {"content-type": "application/json"}, b"{}") for status in (500, 503)]
        for asked in (
            *self._asked(guilty=True, first=1, most=1),
            *self._asked(guilty=False, first=1, most=1),
        ):
            for place in asked.exchanges:
                for response in bad:
                    outcome = self._outcome(asked, {place: replace(response, url=place[1])})
                    if outcome is None or (_passes(outcome) and asked.state != ComplianceState.COMPLIANT):
                        told = "not found" if outcome is None else "a pass"
                        wrong.append(
                            f"{response.status} by {asked.key.kind} is {told}: {place[0]} {place[1]}"
                        )
        for place in self._corpus.listing[:1]:
            wrong += [
                f"{response.status} is an empty list: {place[0]} {place[1]}"
                for response in bad
                if self._lists(replace(response, url=place[1]), place)
            ]
        return wrong

    def _lists(self, response: Response, place: Place) -> bool:
        """Whether the noncompliant list takes an answer for a good one."""

        def answer(request: Request) -> Response:
            asked = request.method, request.full_url, request.content()[0]
            return response if asked == place else self._corpus.find(*asked)

        flow = self._provider.noncompliant_page(self._info, None)
        try:
            play(flow, answer, provider=self._provider)
        except Exception:  # noqa: BLE001 - of any kind: a client makes one of ours out of it
            return False
        return True

    def spellings(self) -> list[str]:
        """MAC addresses in another spelling, as servers and versions vary: the same device."""
        wrong = []
        for asked in (*self._asked(guilty=True), *self._asked(guilty=False)):
            macs = [mac for name in asked.names if (mac := Mac.parse(name))]
            good = self._outcome(asked, {})
            for spell in (_bare, _dashed, _coloned):
                changed: dict[Place, Response] = {}
                for place in asked.exchanges:
                    body = self._corpus.response(place).body
                    for mac in macs:
                        body = re.sub(_any_spelling(mac), spell(mac).encode(), body, flags=re.IGNORECASE)
                    changed |= self._body(place, body)
                if not _same(good, self._outcome(asked, changed)):
                    wrong.append(
                        f"{asked.key!r} is not the same device when the server writes {spell(macs[0])}"
                    )
        return wrong

    def zones(self) -> list[str]:
        """The same moment written in another zone: the same check-in, or none."""
        wrong = []
        for asked in (*self._asked(guilty=True), *self._asked(guilty=False)):
            good = self._outcome(asked, {})
            changed: dict[Place, Response] = {}
            for place in asked.exchanges:
                text = self._corpus.response(place).body.decode()
                changed |= self._body(place, _MOMENT.sub(_moved, text).encode())
            outcome = self._outcome(asked, changed)
            if isinstance(good, Device) and isinstance(outcome, Device):
                before, after = good.last_check_in, outcome.last_check_in
                if after not in {before, None}:
                    wrong.append(f"{asked.key!r}: the check-in {before} became {after} in another zone")
        return wrong

    def strangers(self) -> list[str]:
        """Records of another device in place of ours, beside them, or in one of several answers."""
        wrong = []
        for asked in (*self._asked(guilty=True), *self._asked(guilty=False)):
            for other in list(self._others(asked))[:_EACH]:
                swapped = [
                    self._body(place, self._corpus.response(twin).body)
                    for place, twin in zip(asked.exchanges, other.exchanges, strict=True)
                ]
                if self._stamps(asked, {place: new for one in swapped for place, new in one.items()}, other):
                    wrong.append(f"{asked.key!r} was written into the record of another device")
                guilty = asked.state != ComplianceState.COMPLIANT
                if guilty and any(_passes(self._outcome(asked, one)) for one in swapped):
                    wrong.append(f"{asked.key!r} ({asked.state}) passes by an answer about another device")
                wrong += self._beside(asked, other)
        return wrong

    def reasons(self) -> list[str]:
        """Answers that name another device, when the reasons of a device are asked for: never its reasons."""
        wrong = []
        explained = self._corpus.explained[:_FIRST]
        for mine, theirs in permutations(explained, 2):
            named = {theirs.before.id, theirs.before.guid} - {None, mine.before.id, mine.before.guid}
            bodies = [self._corpus.response(place).body.decode() for place in theirs.exchanges]
            if not any(re.search(rf"\b{re.escape(str(name))}\b", body) for name in named for body in bodies):
                continue  # it does not say whose it is
            changed: dict[Place, Response] = {}
            for place, body in zip(mine.exchanges, bodies, strict=False):
                changed |= self._body(place, body.encode())
            foreign = {*theirs.after.compliance.reasons} - {*mine.after.compliance.reasons}
            if foreign.intersection(self._reasons(mine.before, changed)):
                wrong.append(f"the reasons of {theirs.before!r} became those of {mine.before!r}")
        return wrong

    def _reasons(self, device: Device, changed: Mapping[Place, Response]) -> Sequence[str]:
        flow = self._provider.reasons(self._info, device)
        try:
            return play(flow, partial(self._answer, changed), provider=self._provider).compliance.reasons
        except Exception:  # noqa: BLE001 - an error gives none
            return ()

    def _stamps(self, asked: Asked, changed: Mapping[Place, Response], other: Asked) -> bool:
        bodies = b" ".join(self._corpus.response(place).body for place in other.exchanges).decode()
        if _plain(asked.key.value) in _plain(bodies):
            return False  # the other answer names ours, too
        try:
            return any(row.matches(asked.key) for row in self._rows(asked, changed))
        except Exception:  # noqa: BLE001 - an error is no record
            return False

    def _beside(self, asked: Asked, other: Asked) -> Iterator[str]:
        """Rows of another device before and behind ours; and such that have our key, too."""
        for place, twin in zip(asked.exchanges, other.exchanges, strict=True):
            mine, theirs = self._corpus.response(place).body, self._corpus.response(twin).body
            for bodies in joined(mine, theirs):
                ends = [self._outcome(asked, self._body(place, body)) for body in bodies]
                if not _same(*ends):
                    yield f"{asked.key!r} depends on the order of the records in the answer"
            if asked.state == ComplianceState.COMPLIANT:
                continue
            for bodies in joined(mine, _renamed(theirs, other.key, asked.key)):
                if any(_passes(self._outcome(asked, self._body(place, body))) for body in bodies):
                    yield f"{asked.key!r}: a milder record beside it counts"


def _passes(outcome: Outcome) -> bool:
    return isinstance(outcome, Device) and outcome.compliance.state is ComplianceState.COMPLIANT


def _same(one: Outcome, other: Outcome) -> bool:
    if isinstance(one, Device) and isinstance(other, Device):
        said = [
            (device.id, device.guid, device.serial_number, device.registered, device.compliance.state)
            for device in (one, other)
        ]
        return said[0] == said[1]
    return type(one) is type(other) or (isinstance(one, MdmError) and isinstance(other, MdmError))


def _bare(mac: Mac) -> str:
    return mac.hex.lower()


def _dashed(mac: Mac) -> str:
    return mac.value.replace(":", "-").lower()


def _coloned(mac: Mac) -> str:
    return mac.value


def _any_spelling(mac: Mac) -> bytes:
    return "[:.-]?".join(mac.hex[at : at + 2] for at in range(0, 12, 2)).encode()


def _moved(match: re.Match[str]) -> str:
    try:
        moment = datetime.fromisoformat(match[0])
        return moment.astimezone(_ELSEWHERE).isoformat()
    except (ValueError, OverflowError):
        return match[0]


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()


def _renamed(body: bytes, theirs: Key, ours: Key) -> bytes:
    """An answer about another device with our key in place of its own."""
    if isinstance(theirs, Mac) and isinstance(ours, Mac):
        return re.sub(_any_spelling(theirs), _coloned(ours).encode(), body, flags=re.IGNORECASE)
    return body.replace(theirs.value.encode(), ours.value.encode())
