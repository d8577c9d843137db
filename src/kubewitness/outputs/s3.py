"""Output `s3`: objects of JSON lines in S3, or what speaks its protocol.

Records gather in files on this disk (`store_dir`), fsynced before they count as delivered, and become an object when
they are `total_file_size` or `upload_timeout` old. The name of an object is settled with its first record: an upload
that is done again replaces it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import zstandard

from kubewitness.config.keys import Key, Options
from kubewitness.config.state import state_paths
from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Retry, StateError, UsageError
from kubewitness.formats.accessor import path_of, text_of, value_at
from kubewitness.outputs.aws_credentials import AwsCredentials, Source, sts_address
from kubewitness.outputs.dates import DATE_FORMATS, dates_of
from kubewitness.outputs.extras import need
from kubewitness.outputs.lines import json_lines, objects
from kubewitness.outputs.records import fields_of, stamps_ns
from kubewitness.outputs.s3_buffers import Buffer, Buffers
from kubewitness.outputs.s3_names import ObjectNames
from kubewitness.record import Chunk
from kubewitness.store.objectdir import Access, ObjectDir

log = logging.getLogger(__name__)

_NOTHING = "accepted, without effect: "
_ACLS = (
    "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
    "bucket-owner-full-control",
)  # fmt: skip
_BLOBS = _NOTHING + "there are no blobs"

KEYS = (
    Key("bucket", doc="bucket"),
    Key("region", default="us-east-1", doc="its region"),
    Key("endpoint", doc="`https://host:port` of a store of your own; empty: AWS"),
    Key("s3_key_format", default="/fluent-bit-logs/$TAG/%Y/%m/%d/%H/%M/%S", doc="names of objects: `$TAG`, `$TAG[N]`, "
        "`$UUID`, `$INDEX`, and strftime's (UTC, of the first record)"),
    Key("s3_key_format_tag_delimiters", default=".", doc="what stands between the parts of a tag"),
    Key("static_file_path", "bool", "off", "names do not end in `-object` and eight random characters"),
    Key("total_file_size", "size", "100000000", "size at which lines become an object, before compression"),
    Key("upload_timeout", "seconds", "10m", "and age"),
    Key("upload_chunk_size", "size", "5242880", "parts of an upload"),
    Key("store_dir", doc="where lines wait; empty: in the state directory (Fluent Bit: /tmp/fluent-bit/s3)"),
    Key("store_dir_limit_size", "size", "0", "what may wait there, then the output waits; 0: any"),
    Key("format", default="json_lines", doc="only json_lines", refused="an object of the bucket has a record a line"),
    Key("json_date_key", default="date", doc="name under which the record's time is put first; `false`: the records' "
        "bytes are passed through"),
    Key("json_date_format", default="iso8601", doc="how the time is written", choices=DATE_FORMATS),
    Key("log_key", doc="a line is the text of this key alone"),
    Key("compression", doc="of objects; empty: none", choices=("gzip", "zstd")),
    Key("content_type", doc="sent as Content-Type"),
    Key("storage_class", doc="sent as x-amz-storage-class"),
    Key("tls", "bool", "on", _NOTHING + "`endpoint` says which scheme is spoken"),
    Key("tls.verify", "bool", "on", "certificates are always checked; off is taken where `endpoint` begins with `http://`"),
    Key("canned_acl", doc="sent as x-amz-acl", choices=_ACLS),
    Key("role_arn", doc="role to assume with the credentials that are found"),
    Key("external_id", doc="external id that this role asks for"),
    Key("sts_endpoint", doc="address of STS, for roles and web identities; empty: the region's"),
    Key("profile", doc="profile of the shared files; empty: AWS_PROFILE, else `default`"),
    Key("use_put_object", "bool", "off", _NOTHING + "what is larger than a part is sent in parts"),
    Key("send_content_md5", "bool", "off", _NOTHING + "requests are signed with their content's digest"),
    Key("auto_retry_requests", "bool", "true", _NOTHING + "requests are always tried again"),
    Key("preserve_data_ordering", "bool", "true", _NOTHING + "it always is"),
    Key("retry_exhausted_action", default="quarantine", doc=_NOTHING + "uploads are tried until they work"),
    Key("quarantine_dir_limit_size", "size", "0", _NOTHING + "as `retry_exhausted_action`"),
    *(Key(name, doc=_BLOBS) for name in ("blob_database_file", "part_size", "file_delivery_attempt_limit",
        "part_delivery_attempt_limit", "upload_parts_timeout", "upload_part_freshness_limit")),
    *(Key(f"authorization_endpoint_{n}", doc=_BLOBS) for n in ("url", "username", "password", "bearer_token")),
)  # fmt: skip

#: seconds between two looks for what has become old enough
_LOOK = 1.0
_BLOCK = 1024 * 1024


class S3Output:
    """At least once: what was buffered but not acknowledged when the process died is there twice."""

    def __init__(self, keys: Mapping[str, str], name: str = "s3") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        bucket, endpoint = opts.text("bucket"), opts.text("endpoint")
        if not bucket:
            raise UsageError(f"{what}: 'bucket' is missing")
        need(what, "obstore", "s3")
        if endpoint and "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        if not opts.flag("tls.verify") and not endpoint.startswith("http://"):
            raise UsageError(f"{what}: 'tls.verify' is off: certificates are always checked; SSL_CERT_FILE in the "
                             "environment names the ones to trust")  # fmt: skip
        self._root = ObjectDir(
            f"s3://{bucket}?region={opts.text('region')}" + (f"&endpoint={endpoint}" if endpoint else ""),
            access=_access(what, opts),
        )
        form = opts.text("s3_key_format")
        fixed = opts.flag("static_file_path")
        self._names = ObjectNames(form, opts.text("s3_key_format_tag_delimiters"), fixed=fixed)
        self._size, self._age = opts.number("total_file_size"), opts.seconds("upload_timeout")
        self._part = max(opts.number("upload_chunk_size"), 5_242_880)
        self._dates = dates_of(opts)
        self._log_key = path_of(opts.text("log_key")) if opts.text("log_key") else None
        self._compression = opts.choice("compression")
        self._attributes = {
            header: value
            for header, value in (
                ("Content-Type", opts.text("content_type")),
                ("Content-Encoding", self._compression),
                ("Storage-Class", opts.text("storage_class")),
            )
            if value
        }
        self._buffers = Buffers(_directory(opts.text("store_dir"), name, bucket, endpoint, form), opts.number(
            "store_dir_limit_size"))  # fmt: skip
        self._lock = asyncio.Lock()
        #: held by the thread that works on the buffers: it goes on when who waits for it is cancelled
        self._busy = threading.Lock()
        self._ticker: asyncio.Task[None] | None = None
        self._counts = {"objects": 0, "object_bytes": 0, "upload_errors": 0}
        self._error = ""

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def start(self) -> None:
        await asyncio.to_thread(self._buffers.load)
        self._ticker = asyncio.create_task(self._tick(), name=f"{self.name} uploads")

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        async with self._lock:
            # what is due goes first: it must not grow while the far side is away
            await self._upload(self._buffers.due(self._size, self._age))
            for i, delivery in enumerate(deliveries):
                try:
                    await asyncio.to_thread(self._append, delivery.chunk)
                except Retry as e:
                    if i == 0:
                        raise
                    raise Partly(str(e), left=deliveries[i:]) from e

    async def close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
            self._ticker = None
            async with self._lock:
                await self._upload(self._buffers.all())

    def health(self) -> Mapping[str, object]:
        waiting = {"buffered_bytes": self._buffers.size, "buffered_objects": len(self._buffers.all())}
        return {**self._counts, **waiting, "last_upload_error": self._error}

    async def _tick(self) -> None:
        """Old buffers become objects though nothing new comes."""
        while True:
            await asyncio.sleep(_LOOK)
            with contextlib.suppress(Retry):  # counted, told, and tried at the next look
                async with self._lock:
                    await self._upload(self._buffers.due(self._size, self._age))

    def _append(self, chunk: Chunk) -> None:
        if self._log_key is None:
            data = json_lines(chunk, self._dates)
        else:
            texts = [text_of(value_at(fields_of(line), self._log_key)) for line in objects(chunk)]
            data = "".join(text.rstrip("\n").replace("\n", " ") + "\n" for text in texts).encode("utf-8", "replace")
        first = next(iter(stamps_ns(chunk)), time.time_ns()) // 1_000_000_000
        with self._busy:
            self._buffers.append(chunk.tag, data, lambda: self._names.name(chunk.tag, first))

    async def _upload(self, buffers: Sequence[Buffer]) -> None:
        """Makes objects of them. Retry when one cannot be made."""
        for buffer in buffers:
            try:
                await asyncio.to_thread(self._make, buffer)
            except (StateError, OSError) as e:
                self._counts["upload_errors"] += 1
                if str(e) != self._error:
                    log.warning("%s: %s; what waits stays in %s", self.name, e, buffer.lines.parent)
                self._error = str(e)
                raise Retry(str(e)) from e
            self._error = ""

    def _make(self, buffer: Buffer) -> None:
        with self._busy:
            if any(one is buffer for one in self._buffers.all()):
                self._made(buffer)

    def _made(self, buffer: Buffer) -> None:
        if buffer.size:
            packed = buffer.lines.with_suffix(".packed") if self._compression else None
            if packed is not None:
                _pack(buffer.lines, packed, self._compression)
            source = packed or buffer.lines
            (self._root / buffer.name).write(source, self._attributes or None, self._part)
            self._counts["objects"] += 1
            self._counts["object_bytes"] += source.stat().st_size
            if packed is not None:
                packed.unlink()
        self._buffers.done(buffer)


def _access(what: str, opts: Options) -> Access:
    """Of the keys that say more than the standard chain."""
    acl = opts.choice("canned_acl")
    source = Source(
        opts.text("region"),
        opts.text("profile"),
        opts.text("role_arn"),
        opts.text("external_id"),
        sts_address(opts.text("sts_endpoint")),
    )
    own = source.profile or source.role_arn or source.sts_endpoint
    return Access(
        AwsCredentials(what, source).for_obstore if own else None,
        (("x-amz-acl", acl),) if acl else (),
        patient=False,  # the engine tries again, and says so
    )


def _pack(source: Path, target: Path, how: str) -> None:
    with source.open("rb") as data, target.open("wb") as out:
        if how == "zstd":
            zstandard.ZstdCompressor(level=3).copy_stream(data, out)
        else:
            _gzip(data, out)


def _gzip(data: BinaryIO, out: BinaryIO) -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    read: Callable[[], bytes] = lambda: data.read(_BLOCK)  # noqa: E731
    for block in iter(read, b""):
        out.write(packer.compress(block))
    out.write(packer.flush())


def _directory(given: str, *what: str) -> Path:
    """Of this output alone: another place or another output has another one."""
    digest = hashlib.blake2b("\0".join(what).encode(), digest_size=6).hexdigest()
    return (Path(given) if given else state_paths().root / "s3") / digest
