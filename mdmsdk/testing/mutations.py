"""Damaging an answer: JSON and XML bodies, changed in one of many ways. Pure, given the chances."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

__all__ = ["joined", "mutate", "without_members"]

# No value that could be read as a pass, and none that says that there is nothing.
_ODD: tuple[Any, ...] = (
    *(
        "maybe",
        "zzz",
        "\u0421OMPLIANT",
        "compli\u0430nt",
        "\uff43ompliant",
        "not compliant",
        "PENDING-X",
        "\u200b",
        "2",
    ),
    *(2, -1, 10**30, 1.5, 1e300, ["compliant"], [True], {"compliant": True}, {"value": "x"}, [[]], [None]),
)
_HUGE = ("1e999", "NaN", "-Infinity", "9" * 5000)


def mutate(mine: bytes, theirs: bytes, own: AbstractSet[str], chance: random.Random) -> tuple[bytes, str]:
    """A damaged copy of an answer.

    Args:
        mine: the answer about the device that is asked for, which does not comply.
        theirs: the same answer about another device, which complies.
        own: the texts that name the device; they are never put into the other one's record.
        chance: what chooses.

    Returns:
        The body, and what was done, for messages.
    """
    if mine.lstrip()[:1] == b"<":
        return _mutate_xml(mine.decode(), theirs.decode(), chance)
    try:
        document, other = json.loads(mine or b"null"), json.loads(theirs or b"null")
    except ValueError:
        return theirs, "the other answer"
    if document in (None, [], {}):
        return theirs, "the other answer"
    change: Callable[..., tuple[bytes, str]] = chance.choice(_JSON_CHANGES)
    return change(document, other, own, chance)


# --- JSON ---

_Place = tuple[Any, Any]


def _places(value: Any) -> Iterator[_Place]:
    """Each member and item, as its container and its name or index."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in list(pairs):
        yield value, name
        yield from _places(inner)


def _leaves(document: Any) -> list[_Place]:
    return [(box, name) for box, name in _places(document) if not isinstance(box[name], dict | list)]


def _dump(document: Any) -> bytes:
    return json.dumps(document).encode()


def _other_answer(_document: Any, other: Any, _own: Any, _chance: Any) -> tuple[bytes, str]:
    return _dump(other), "the other answer"


def _garble(document: Any, _other: Any, _own: Any, chance: random.Random) -> tuple[bytes, str]:
    """Another type or word in place of a value that says something."""
    told = [(box, name) for box, name in _leaves(document) if box[name] not in (None, "")]
    if not told:
        return _dump(None), "null"
    box, name = chance.choice(told)
    odd = copy.deepcopy(chance.choice(_ODD))
    how = f"{name}: {box[name]!r} -> {odd!r}"
    box[name] = odd
    return _dump(document), how


def _wrap(document: Any, _other: Any, _own: Any, chance: random.Random) -> tuple[bytes, str]:
    """A list for a value or the other way round."""
    box, name = chance.choice(list(_places(document)))
    value = box[name]
    box[name] = {str(index): one for index, one in enumerate(value)} if isinstance(value, list) else [value]
    return _dump(document), f"{name} wrapped"


def _respell(document: Any, _other: Any, _own: Any, chance: random.Random) -> tuple[bytes, str]:
    """Blanks around a text, or other letters in it."""
    texts = [(box, name) for box, name in _leaves(document) if isinstance(box[name], str) and box[name]]
    if not texts:
        return b"", "empty"
    box, name = chance.choice(texts)
    text = box[name]
    box[name] = chance.choice(
        (f" {text}\t", text.swapcase(), text + "\u200b", text[:-1], text + text, text[::-1])
    )
    return _dump(document), f"{name}: {text!r} -> {box[name]!r}"


def _double(document: Any, other: Any, _own: Any, chance: random.Random) -> tuple[bytes, str]:
    """A member twice, the second time as the other answer has it."""
    text = json.dumps(document)
    names = [(box, name) for box, name in _places(document) if isinstance(box, dict)]
    if not names:
        return text.encode() * 2, "the answer twice"
    box, name = chance.choice(names)
    theirs = next(
        (inner[key] for inner, key in _places(other) if key == name and isinstance(inner, dict)), None
    )
    member = f"{json.dumps(name)}: {json.dumps(box[name])}"
    twice = f"{member}, {json.dumps(name)}: {json.dumps(theirs)}"
    return text.replace(member, twice, 1).encode(), f"{name} twice"


def _huge(document: Any, _other: Any, _own: Any, chance: random.Random) -> tuple[bytes, str]:
    box, name = chance.choice(_leaves(document) or list(_places(document)))
    box[name] = "@@"
    huge = chance.choice(_HUGE)
    return json.dumps(document).replace('"@@"', huge, 1).encode(), f"{name} -> {huge[:12]}"


def _lists(document: Any, other: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """Lists of records in both documents, at the same place."""
    if isinstance(document, list) and isinstance(other, list):
        yield document, other
    elif isinstance(document, dict) and isinstance(other, dict):
        for name in document.keys() & other.keys():
            yield from _lists(document[name], other[name])


def _extra_rows(document: Any, other: Any, _own: Any, chance: random.Random) -> tuple[bytes, str]:
    """The other answer's rows among ours, before or behind, or in place of them."""
    pairs = list(_lists(document, other))
    if not pairs:
        return _dump([document, other]), "both in a list"
    mine, theirs = chance.choice(pairs)
    mine[:] = chance.choice(([*theirs, *mine], [*mine, *theirs], list(theirs), theirs * 3))
    return _dump(document), "rows of the other answer"


def _mixed(document: Any, other: Any, own: AbstractSet[str], chance: random.Random) -> tuple[bytes, str]:
    """The other record with some values of ours, but none that names the device."""
    ours = {name: box[name] for box, name in _leaves(document) if isinstance(box, dict)}
    places = [
        (box, name)
        for box, name in _leaves(other)
        if name in ours and str(ours[name]) not in own and not _says_who(ours[name], own)
    ]
    for box, name in chance.sample(places, k=min(len(places), 3)):
        box[name] = ours[name]
    return _dump(other), "the other record with values of ours"


def _says_who(value: Any, own: AbstractSet[str]) -> bool:
    plain = re.sub(r"[\W_]", "", str(value)).lower()
    return any(re.sub(r"[\W_]", "", text).lower() in plain for text in own if text)


def _paging(document: Any, _other: Any, _own: Any, chance: random.Random) -> tuple[bytes, str]:
    """Numbers that count rows and pages, and links, that lie."""
    if not isinstance(document, dict):
        return _dump({"value": document}), "a list inside an object"
    named = [
        name for name in document if re.search("total|count|page|next|size|result|more", name, re.IGNORECASE)
    ]
    name = chance.choice(named or list(document))
    document[name] = chance.choice((0, -1, 10**9, "next", "", None, True, "https://elsewhere.example/"))
    return _dump(document), f"{name} -> {document[name]!r}"


_JSON_CHANGES: tuple[Any, ...] = (
    *(_other_answer, _garble, _garble, _garble, _wrap, _respell, _double, _huge, _extra_rows, _extra_rows),
    *(_mixed, _paging),
)


# --- in turn ---

_ODD_IN_TURN = ("splendid", {"value": True})


def without_members(body: bytes, wanted: Callable[[str, Any], bool]) -> Iterator[tuple[bytes, str]]:
    """An answer without each of its members in turn, and with something that makes no sense in its place.

    Args:
        body: the answer.
        wanted: whether to do so with a member, by name and value.
    """
    if body.lstrip()[:1] == b"<":
        text = body.decode()
        for leaf in _LEAF.finditer(text):
            if not wanted(leaf[1], leaf[2]):
                continue
            before, after = text[: leaf.start()], text[leaf.end() :]
            yield f"{before}{after}".encode(), f"without {leaf[1]}"
            yield f"{before}<{leaf[1]}>splendid</{leaf[1]}>{after}".encode(), f"{leaf[1]} -> splendid"
        return
    document = _read(body)
    for box, name in list(_places(document)):
        if not (isinstance(box, dict) and wanted(name, box[name])):
            continue
        members = dict(box)
        del box[name]
        yield _dump(document), f"without {name}"
        for odd in _ODD_IN_TURN:
            box[name] = odd
            yield _dump(document), f"{name}: {members[name]!r:.40} -> {odd!r}"
        box.clear()
        box.update(members)  # in their order


def joined(mine: bytes, theirs: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Answers with the records of both, ours first and theirs first, for each list of records in them."""
    if mine.lstrip()[:1] == b"<":
        ours, others = mine.decode(), _DEVICE.search(theirs.decode())
        if others and "<deviceList>" in ours:
            yield (
                ours.replace("</deviceList>", f"{others[0]}</deviceList>").encode(),
                ours.replace("<deviceList>", f"<deviceList>{others[0]}").encode(),
            )
        return
    document, other = _read(mine), _read(theirs)
    for own, more in list(_lists(document, other)):
        kept = list(own)
        if not (kept and more and all(isinstance(row, dict) for row in (*kept, *more))):
            continue
        own[:] = [*kept, *more]
        first = _dump(document)
        own[:] = [*more, *kept]
        yield first, _dump(document)
        own[:] = kept


def _read(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        return None


# --- XML ---

_LEAF = re.compile(r"<([\w:]+)>([^<>]+)</\1>")
_DEVICE = re.compile(r"<device>.*</device>", re.DOTALL)
_ODD_TEXTS = (
    "maybe",
    "2",
    "TRUE-ish",
    "tru\u0435",
    "\uff54rue",
    "\u200btrue",
    "true,false",
    "<b>true</b>",
    "[true]",
    "NaN",
)


def _mutate_xml(mine: str, theirs: str, chance: random.Random) -> tuple[bytes, str]:
    leaves = list(_LEAF.finditer(mine))
    change = chance.choice(
        ("other", "garble", "garble", "double", "cut", "extra", "respell", "nest", "paging")
    )
    if change == "other" or not leaves:
        return theirs.encode(), "the other answer"
    leaf = chance.choice(leaves)
    name, text = leaf[1], leaf[2]
    before, after = mine[: leaf.start()], mine[leaf.end() :]
    if change == "garble":
        odd = chance.choice(_ODD_TEXTS)
        return f"{before}<{name}>{odd}</{name}>{after}".encode(), f"{name}: {text!r} -> {odd!r}"
    if change == "double":
        twin = next((found[2] for found in _LEAF.finditer(theirs) if found[1] == name), text)
        return f"{before}<{name}>{twin}</{name}>{leaf[0]}{after}".encode(), f"{name} twice"
    if change == "cut":
        at = chance.randrange(len(mine))
        return mine[:at].encode(), f"cut after {at} characters"
    if change == "respell":
        odd = chance.choice((f" {text} ", text.swapcase(), text[:-1], text * 2))
        return f"{before}<{name}>{odd}</{name}>{after}".encode(), f"{name}: {text!r} -> {odd!r}"
    if change == "nest":
        return f"{before}<{name}><{name}>{text}</{name}></{name}>{after}".encode(), f"{name} nested"
    if change == "paging":
        odd = chance.choice(("1", "x", "-1", "0", "9" * 30))
        return re.sub(r"(<paging_info>)[^<]*", rf"\g<1>{odd}", mine).encode(), f"paging_info {odd}"
    rows = _DEVICE.search(theirs)
    extra = rows[0] if rows else ""
    place = chance.choice(("<deviceList>", "</deviceList>"))
    return mine.replace(
        place, place + extra if place[1] != "/" else extra + place, 1
    ).encode(), "another device"
