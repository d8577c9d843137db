"""What was found in a capture, and small helpers to look into JSON without decoding all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from kubewitness.errors import Malformed

#: decodes an object into its fields, each still JSON
fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
#: decodes an array into its elements, each still JSON
elements_of = msgspec.json.Decoder(list[msgspec.Raw]).decode
#: decodes a string
text_of = msgspec.json.Decoder(str).decode


class Found(NamedTuple):
    """One record. `how` names what it came in (for the summary); "" in `table` is something to leave out.

    An item of a list that cannot be understood comes as a record of table "rejects", beside its good neighbours.
    """

    table: str
    raw: bytes
    how: str
    form: str = ""
    #: what a watch said
    change: str = ""
    flags: tuple[str, ...] = ()
    #: of a reject
    reason: str = ""
    #: the original bytes, where `raw` is a copy without what was nested too deeply
    whole: bytes = b""


def each(raw: bytes, read: Callable[[bytes], Iterator[Found]]) -> Iterator[Found]:
    """The records of every item of an array; one that cannot be understood does not cost the others."""
    for item in elements(raw):
        text = bytes(item)
        try:
            yield from list(read(text))
        except (Malformed, msgspec.MsgspecError, UnicodeDecodeError) as e:
            yield Found("rejects", text, "rejects", reason=str(e))


def elements(raw: bytes) -> list[msgspec.Raw]:
    """The elements of an array. Raises `Malformed`."""
    try:
        return elements_of(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a JSON array: {e}") from e


def string(fields: dict[str, msgspec.Raw], name: str) -> str:
    """A field's text; "" when it is absent or no text."""
    value = fields.get(name)
    if value is None:
        return ""
    try:
        return text_of(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def is_klog(text: bytes) -> bool:
    """Whether a line begins as Kubernetes components write them."""
    return len(text) > 25 and text[:1] in b"IWEF" and text[1:5].isdigit() and text[5:6] == b" " and text[8:9] == b":"
