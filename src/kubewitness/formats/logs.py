"""Lines of container and component logs in the forms that nodes write them: `decode` gives one `LogLine`.

Forms (`Chunk.form`): "cri" (containerd, CRI-O: `TIME STREAM P|F TEXT`; a record holds all the parts of a line,
newline between them), "docker" (json-file: {"log", "stream", "time"}; parts likewise), "klog" (components:
`I1122 21:25:09.518619 PID FILE:LINE] TEXT`), "json" (one object a line), "record" (an object that a filter or parser
made; `Chunk.times` has its time), "text" (anything else). Which pod and
container a file belongs to is in its name; see `place`. Sources: KEP-30 (CRI log format), moby
daemon/logger/jsonfilelog, k8s.io/klog/v2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

import msgspec

from kubewitness.errors import Malformed
from kubewitness.formats import klog
from kubewitness.formats.names import record_key
from kubewitness.formats.times import us_or_zero

FORMS = ("cri", "docker", "klog", "json", "record", "text")


class Place(msgspec.Struct):
    """What a log file's name tells. "" when it does not."""

    namespace: str = ""
    pod: str = ""
    container: str = ""
    container_id: str = ""
    pod_uid: str = ""


class LogLine(msgspec.Struct):
    """One log record. `us` is 0 when the line has no time of its own (then arrival counts)."""

    us: int
    stream: str
    severity: str
    message: str
    #: JSON object text of structured fields, "" when there are none
    fields: str = ""


class _Docker(msgspec.Struct):
    log: str
    stream: str | None = ""
    time: str | None = ""


_docker = msgspec.json.Decoder(_Docker)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any_text = msgspec.json.Decoder(str)

_SEVERITIES = ("level", "severity", "lvl")
#: of a record; `log` is the line itself, unless a parser took it apart
_MESSAGES = ("log", "message", "msg", "MESSAGE")

#: of a CRI line whose time has nine digits
_AFTER_TIME = (b"Z stdout ", b"Z stderr ")
# /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log
_CONTAINERS = re.compile(r"([a-z0-9][a-z0-9.-]*)_([a-z0-9-]+)_([a-z0-9-]+)-([0-9a-f]{64})\.log")
# /var/log/pods/NAMESPACE_POD_UID/CONTAINER/RESTARTS.log
_PODS = re.compile(r"([a-z0-9-]+)_([a-z0-9][a-z0-9.-]*)_([0-9a-f-]{32,36})/([a-z0-9-]+)/\d+\.log")


def decode(form: str, raw: bytes, arrived_us: int = 0) -> LogLine:
    """One record of the given form. A klog line has no year: the latest one that is not after `arrived_us` plus a
    day is taken. Raises `Malformed` when the bytes are not of that form."""
    if form == "cri":
        return _cri(raw)
    if form == "docker":
        parts = [_docker_part(part) for part in raw.split(b"\n")]
        message = "".join(part.log for part in parts).removesuffix("\n")
        return LogLine(us_or_zero(parts[-1].time), parts[-1].stream or "", "", message)
    if form == "klog":
        return _klog(raw, arrived_us)
    if form == "json":
        return _json(raw)
    if form == "record":
        return _record(raw)
    return LogLine(0, "", "", raw.decode("utf-8", "replace"))


def docker_part(raw: bytes) -> tuple[str, bool]:
    """(stream, whether the line is complete) of one docker json-file line. Raises `Malformed`."""
    part = _docker_part(raw)
    return part.stream or "", part.log.endswith("\n")


def _docker_part(raw: bytes) -> _Docker:
    try:
        return _docker.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a docker json-file line: {e}") from e


def _cri(raw: bytes) -> LogLine:
    us, stream, parts = 0, "", []
    for part in raw.split(b"\n"):
        fields = part.split(b" ", 3)
        if len(fields) < 3 or fields[1] not in (b"stdout", b"stderr"):
            raise Malformed("not a CRI log line: TIME STREAM P|F TEXT expected")
        us = us_or_zero(fields[0].decode("ascii", "replace"))  # the last part's: when the line was complete
        stream = fields[1].decode()
        parts.append(fields[3] if len(fields) > 3 else b"")
    if not us:
        raise Malformed("not a CRI log line: it does not begin with an RFC 3339 time")
    return LogLine(us, stream, "", b"".join(parts).decode("utf-8", "replace"))


def cri_times(records: Iterable[bytes]) -> Iterator[int]:
    """The times alone of what `decode` takes apart, 0 for what it does not take. Runtimes write nine digits, and many
    lines a second."""
    seconds: dict[bytes, int] = {}
    for raw in records:
        digits = raw[20:29]
        if raw[29:38] in _AFTER_TIME and raw[19:20] == b"." and digits.isdigit() and b"\n" not in raw:
            base = seconds.get(raw[:19])
            if base is None:
                base = seconds[raw[:19]] = us_or_zero(raw[:19].decode("ascii", "replace") + "Z")
            yield base + int(digits[:6]) if base else 0
        else:
            yield _cri_us(raw)


def _cri_us(raw: bytes) -> int:
    part = raw[raw.rfind(b"\n") + 1 :]
    end = part.find(b" ")
    if end <= 0 or not part.startswith((b" stdout ", b" stderr "), end):
        return 0
    return us_or_zero(part[:end].decode("ascii", "replace"))


def _klog(raw: bytes, arrived_us: int) -> LogLine:
    found = klog.parse(raw.decode("utf-8", "replace"), arrived_us)
    if found is None:
        raise Malformed("not a klog line: it does not begin like `I1122 21:25:09.518619 `")
    fields = msgspec.json.encode({"caller": found.caller}).decode()
    return LogLine(found.us, "", found.severity, found.text, fields)


def _json(raw: bytes) -> LogLine:
    try:
        fields = _object.decode(raw)
    except msgspec.MsgspecError as e:
        raise Malformed(f"not a JSON object: {e}") from e
    us = 0
    for name in ("time", "ts", "timestamp", "@timestamp"):
        if name in fields and (us := time_us(bytes(fields[name]))):
            break
    return LogLine(
        us,
        "",
        _text(fields, _SEVERITIES).lower(),
        _text(fields, ("msg", "message", "MESSAGE", "log")),
        raw.decode("utf-8", "replace"),
    )


def _record(raw: bytes) -> LogLine:
    try:
        fields = _object.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise Malformed(f"not a JSON object: {e}") from e
    severity = _text(fields, _SEVERITIES).lower()
    stream = _text({"stream": fields.pop("stream")}, ("stream",)) if "stream" in fields else ""
    message = ""
    for name in _MESSAGES:
        if name in fields and (message := _text(fields, (name,))):
            del fields[name]
            break
    rest = msgspec.json.encode(fields).decode("utf-8", "replace") if fields else ""
    return LogLine(0, stream, severity, message.removesuffix("\n"), rest)


def _text(fields: dict[str, msgspec.Raw], names: tuple[str, ...]) -> str:
    for name in names:
        value = fields.get(name)
        if value is not None:
            try:
                return _any_text.decode(value)
            except msgspec.MsgspecError:
                continue
    return ""


def time_us(value: bytes) -> int:
    """Of a JSON value: RFC 3339 text, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970.

    0 for anything else."""
    if value[:1] == b'"':
        return us_or_zero(value.strip(b'"').decode("utf-8", "replace"))
    try:
        number = float(value)
    except ValueError:
        return 0
    for factor in (1e6, 1e3, 1.0, 1e-3):
        if 0 < number * factor < 4e15:  # before the year 2096
            return int(number * factor)
    return 0


def place(path: str, target: str = "") -> Place:
    """The pod that a log file belongs to, from kubelet's file names (/var/log/containers, /var/log/pods).

    The former has the container's id, the latter the pod's uid: `target`, what `path` links to, tells the other.
    """
    found = _place(path)
    if not target:
        return found
    more = _place(target)
    if not found.pod:
        return more
    same = (more.namespace, more.pod, more.container) == (found.namespace, found.pod, found.container)
    return msgspec.structs.replace(found, pod_uid=more.pod_uid or found.pod_uid) if same else found


def _place(path: str) -> Place:
    match = _CONTAINERS.search(path)
    if match is not None:
        pod, namespace, container, container_id = match.groups()
        return Place(namespace, pod, container, container_id)
    match = _PODS.search(path)
    if match is not None:
        namespace, pod, uid, container = match.groups()
        return Place(namespace, pod, container, "", uid)
    return Place()


def identity(cluster: str, fingerprint: str, offset: int, raw: bytes) -> bytes:
    """The record key: cluster, fingerprint of the file's beginning (an inode is reused), offset, and a digest of the
    bytes, because two short files may begin alike."""
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    return record_key("log", cluster, fingerprint, str(offset), digest)
