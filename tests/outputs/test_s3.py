"""Output `s3`: what waits on disk, what becomes an object, under which name; against a far side of the suite's own, and
(marker s3) against SeaweedFS."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import web

from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.s3 import S3Output
from kubewitness.outputs.s3_names import ObjectNames
from tests.object_store import BUCKET, ObjectStore, object_store
from tests.outputs.aws import Keys, Signed, Sts
from tests.outputs.far_side import FarSide
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(60)


class Bucket(FarSide):
    """PUT Object of the S3 protocol, signed; what is larger comes in parts only from SeaweedFS's test."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.down = False

    def take(self, request: web.Request, body: bytes) -> web.Response:
        if self.down:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        assert request.method == "PUT", request.method
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=kw-key/"), request.headers
        self.objects[request.path] = body
        return web.Response(headers={"ETag": '"x"'})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        # the encoding is the object's, not the request's
        self.requests.append(request)
        body = await request.read()
        if fault := self.faults.popleft() if self.faults else "":
            status, code = (503, "SlowDown") if fault == "429" else (500, "InternalError")
            return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>")
        return self.take(request, body)


class SignedBucket(Signed):
    """As Bucket, and checks the signature."""

    service = "s3"

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.objects: dict[str, bytes] = {}

    def accept(self, request: web.Request, body: bytes) -> web.Response:
        assert request.method == "PUT", request.method
        self.objects[request.path] = body
        return web.Response(headers={"ETag": '"x"'})


@pytest.fixture
async def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bucket]:
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = kw-key\naws_secret_access_key = kw-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    async with Bucket() as made:
        yield made
        assert made.wrong == []


def output(bucket: Bucket, directory: Path, **keys: str) -> S3Output:
    endpoint = f"http://127.0.0.1:{bucket.port}"
    return S3Output(
        {"bucket": "b", "endpoint": endpoint, "store_dir": str(directory), "json_date_key": "false", **keys}
    )


async def test_what_waits_becomes_one_object_a_tag_at_the_end(bucket: Bucket, tmp_path: Path) -> None:
    made = output(
        bucket, tmp_path / "s3", s3_key_format="/k/$TAG[1]/%Y/%m/%d-$UUID.jsonl", content_type="application/json"
    )
    await made.start()
    await made.write([Delivery(1, logs('{"n":1}')), Delivery(2, logs('{"n":2}', tag="kube.bank"))])
    await made.write([Delivery(3, logs('{"n":3}'))])
    assert (bucket.objects, made.health()["buffered_objects"]) == ({}, 2)
    await made.close()
    found = {re.sub("-[0-9a-f]{8}", "-U", name): body for name, body in bucket.objects.items()}
    assert found == {
        "/b/k/shop/2023/11/14-U.jsonl": b'{"n":1}\n{"n":3}\n',
        "/b/k/bank/2023/11/14-U.jsonl": b'{"n":2}\n',
    }
    assert bucket.requests[0].headers["Content-Type"] == "application/json"
    assert (made.health()["objects"], made.health()["buffered_bytes"]) == (2, 0)
    assert list((tmp_path / "s3").rglob("*.lines")) == []


@pytest.mark.parametrize("profile", ["", "shop"])
async def test_a_role_may_be_assumed_or_a_profile_named_and_objects_have_the_acl(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text(
        f"[{profile or 'default'}]\naws_access_key_id=AKIDUSER\naws_secret_access_key=secret-of-the-user\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    keys = Keys()
    async with SignedBucket(keys) as side, Sts(keys) as sts:
        role = {"role_arn": "arn:aws:iam::1:role/logs", "external_id": "shop-7"}
        role["sts_endpoint"] = f"http://127.0.0.1:{sts.port}"
        more = {"profile": profile} if profile else role
        place = {"bucket": "b", "endpoint": f"http://127.0.0.1:{side.port}", "region": side.region}
        made = S3Output({**place, **more, "store_dir": str(tmp_path / "s3"), "canned_acl": "bucket-owner-full-control"})
        await made.start()
        await made.write([Delivery(1, logs('{"n":1}'))])
        await made.close()
        assert (len(side.objects), side.refusals, side.wrong, sts.wrong) == (1, [], [], [])
        assert side.signers == ["AKIDUSER" if profile else "ASIA1"]
        assert [asked["ExternalId"] for asked in sts.asked] == ([] if profile else ["shop-7"])
        (request,) = side.requests
        assert request.headers["x-amz-acl"] == "bucket-owner-full-control"
        assert "x-amz-acl" in request.headers["Authorization"]


async def test_a_role_that_is_refused_holds_objects_back_and_says_why(bucket: Bucket, tmp_path: Path) -> None:
    keys = Keys()
    keys.known.clear()
    async with Sts(keys) as sts:
        sts.region = "us-east-1"
        made = output(bucket, tmp_path / "s3", role_arn="r" * 20, sts_endpoint=f"http://127.0.0.1:{sts.port}")
        await made.start()
        await made.write([Delivery(1, logs('{"n":1}'))])
        with pytest.raises(Retry, match="AssumeRole"):
            await made.close()
        assert made.health()["buffered_bytes"] == 8


async def test_an_object_is_made_at_its_size_and_at_its_age(bucket: Bucket, tmp_path: Path) -> None:
    made = output(bucket, tmp_path / "s3", total_file_size="10", static_file_path="on", s3_key_format="$INDEX")
    await made.start()
    for n in range(3):
        await made.write([Delivery(n, logs(f'{{"n":{n},"x":1}}'))])
    assert list(bucket.objects.values()) == [b'{"n":0,"x":1}\n', b'{"n":1,"x":1}\n']
    await made.close()
    aged = output(bucket, tmp_path / "s3", upload_timeout="50ms", s3_key_format="aged-$INDEX", static_file_path="on")
    await aged.start()
    await aged.write([Delivery(9, logs('{"n":9}'))])
    while "/b/aged-0" not in bucket.objects:
        await asyncio.sleep(0.05)
    await aged.close()


class Slow(Bucket):
    """Has the object some time before it says so."""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        answer = await super()._serve(request)
        await asyncio.sleep(0.3)
        return answer


async def test_an_end_in_the_middle_of_an_upload_sends_the_object_once(bucket: Bucket, tmp_path: Path) -> None:
    async with Slow() as side:
        made = output(side, tmp_path / "s3", upload_timeout="50ms")
        await made.start()
        await made.write([Delivery(1, logs('{"n":1}'))])
        while not side.objects:
            await asyncio.sleep(0.02)
        await made.close()
        assert len(side.requests) == 1
        assert made.health()["objects"] == 1


async def test_name_time_and_class_of_an_object_are_as_the_keys_say(bucket: Bucket, tmp_path: Path) -> None:
    keys = {"s3_key_format": "$TAG[0]/$TAG[2]", "s3_key_format_tag_delimiters": ".-", "static_file_path": "on"}
    more = {"json_date_key": "at", "json_date_format": "epoch", "storage_class": "STANDARD_IA"}
    made = output(bucket, tmp_path / "s3", **keys, **more)
    await made.start()
    await made.write([Delivery(1, logs('{"n":1}', tag="kube.shop-web"))])
    await made.close()
    assert bucket.objects == {"/b/kube/web": b'{"at":1700000000,"n":1}\n'}
    assert bucket.requests[0].headers["x-amz-storage-class"] == "STANDARD_IA"


class Parts(Bucket):
    """An upload in parts (CreateMultipartUpload, UploadPart, CompleteMultipartUpload)."""

    def take(self, request: web.Request, body: bytes) -> web.Response:
        if "uploads" in request.query:
            return web.Response(
                text="<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            )
        if request.method == "POST":
            return web.Response(text="<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
        self.objects[request.query.get("partNumber", "whole")] = body
        return web.Response(headers={"ETag": '"x"'})


@pytest.mark.parametrize(("keys", "sizes"), [({}, [5_242_880, 757_120]), ({"upload_chunk_size": "7M"}, [6_000_000])])
async def test_an_object_is_sent_in_parts_of_the_size_asked_for(
    bucket: Bucket, tmp_path: Path, keys: dict[str, str], sizes: list[int]
) -> None:
    async with Parts() as side:
        made = output(side, tmp_path / "s3", **keys)
        await made.start()
        await made.write([Delivery(1, logs(json.dumps({"text": "x" * (6_000_000 - 13)})))])
        await made.close()
        assert [len(part) for _, part in sorted(side.objects.items())] == sizes


@pytest.mark.parametrize(
    ("how", "unpack"), [("gzip", gzip.decompress), ("zstd", zstandard.ZstdDecompressor().stream_reader)]
)
async def test_objects_are_compressed_as_they_say(bucket: Bucket, tmp_path: Path, how: str, unpack: Any) -> None:
    made = output(bucket, tmp_path / "s3", compression=how, log_key="$m")
    await made.start()
    await made.write([Delivery(1, logs('{"m":"a\\nb"}', '{"m":{"k":1}}'))])
    await made.close()
    ((name, body),) = bucket.objects.items()
    plain = unpack(body)
    assert (plain if isinstance(plain, bytes) else plain.read()) == b'a b\n{"k":1}\n'
    assert bucket.requests[0].headers["Content-Encoding"] == how
    assert name.startswith("/b/fluent-bit-logs/kube.shop/2023/11/14/22/13/20-object")


async def test_after_a_crash_what_waited_becomes_the_same_object_without_a_torn_line(
    bucket: Bucket, tmp_path: Path
) -> None:
    made = output(bucket, tmp_path / "s3")
    await made.write([Delivery(1, logs('{"n":1}'))])
    (lines,) = (tmp_path / "s3").rglob("*.lines")
    with lines.open("ab") as f:
        f.write(b'{"n":2')
    name = json.loads(lines.with_suffix(".name").read_text())["name"]
    again = output(bucket, tmp_path / "s3")
    await again.start()
    await again.write([Delivery(2, logs('{"n":2}'))])
    assert bucket.objects == {f"/b/{name}": b'{"n":1}\n'}
    await again.close()
    assert sorted(bucket.objects.values()) == [b'{"n":1}\n', b'{"n":2}\n']


async def test_while_the_far_side_refuses_nothing_grows_nothing_is_lost_and_nothing_comes_twice(
    bucket: Bucket, tmp_path: Path
) -> None:
    made = output(bucket, tmp_path / "s3", total_file_size="5")
    await made.start()
    bucket.down = True
    await made.write([Delivery(1, logs('{"n":1}'))])
    for _ in range(2):
        with pytest.raises(Retry):
            await made.write([Delivery(2, logs('{"n":2}'))])
    assert made.health()["buffered_bytes"] == 8
    bucket.down = False
    await made.write([Delivery(2, logs('{"n":2}'))])
    await made.close()
    assert sorted(bucket.objects.values()) == [b'{"n":1}\n', b'{"n":2}\n']


async def test_a_full_buffer_holds_back_what_did_not_fit(bucket: Bucket, tmp_path: Path) -> None:
    made = output(bucket, tmp_path / "s3", store_dir_limit_size="20")
    with pytest.raises(Partly, match="store_dir_limit_size") as told:
        await made.write([Delivery(n, logs(f'{{"n":{n}}}')) for n in range(4)])
    assert [d.seq for d in told.value.left] == [2, 3]


def test_names_of_one_second_differ_and_keep_their_extension() -> None:
    names = ObjectNames("logs/$TAG[0]/%H.json.gz", ".-", fixed=False)
    made = {names.name("a-b.c", 0) for _ in range(2)}
    assert len(made) == 2
    assert all(re.fullmatch(r"logs/a/00-object[0-9a-f]{8}\.json\.gz", name) for name in made)
    assert ObjectNames("$TAG/$TAG[7]x", ".", fixed=True).name("t", 0) == "t/x"


def test_keys_are_checked_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="'bucket' is missing"):
        S3Output({})
    with pytest.raises(UsageError, match="'canned_acl' cannot be 'everybody'"):
        S3Output({"bucket": "b", "canned_acl": "everybody"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with object_store(tmp_path_factory.mktemp("s3") / "data") as store:
        yield store


@pytest.mark.s3
async def test_a_real_server_has_an_object_sent_in_parts(
    server: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    endpoint = f"http://127.0.0.1:{server.port}"
    keys = {"bucket": BUCKET, "endpoint": endpoint, "store_dir": str(tmp_path / "b"), "json_date_key": "false"}
    made = S3Output({**keys, "s3_key_format": "/big", "static_file_path": "on"})
    await made.start()
    record = json.dumps({"text": "x" * 1000})
    for n in range(12):
        await made.write([Delivery(n, logs(*[record] * 1000))])
    await made.close()
    assert made.health()["objects"] == 1
    from kubewitness.store.objectdir import ObjectDir

    assert (
        ObjectDir(f"s3://{BUCKET}/big?endpoint={endpoint}&region=us-east-1").read() == (record + "\n").encode() * 12_000
    )


def test_certificates_need_not_be_checked_where_there_are_none(tmp_path: Path) -> None:
    keys = {"bucket": "b", "store_dir": str(tmp_path), "tls.verify": "off"}
    assert S3Output({**keys, "endpoint": "http://127.0.0.1:9000"}).name == "s3"
    with pytest.raises(UsageError, match=r"'tls.verify' is off: .* SSL_CERT_FILE"):
        S3Output({**keys, "endpoint": "127.0.0.1:9000"})
