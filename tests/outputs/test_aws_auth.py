"""Key `aws_auth`: each signature is checked over the body as it was sent, and credentials come from where AWS' tools
find them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from multidict import CIMultiDict

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery, Output
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.aws_auth import AwsAuth, aws_keys
from kubewitness.outputs.aws_credentials import AwsCredentials, Source
from kubewitness.outputs.http import HttpOutput
from tests.journal.helpers import numbered
from tests.outputs.aws import Keys, Metadata, Request, SignedBodies, Sts, signature, signed
from tests.outputs.every import made
from tests.outputs.sides import EsSide, OpensearchSide, OtlpSide, RemoteWriteSide

pytestmark = pytest.mark.timeout(60)

SUITE = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
S3_GUIDE = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A machine without any credentials; and whatever happens, no secret is logged."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
                 "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    caplog.set_level(logging.DEBUG)
    yield
    assert "secret-" not in caplog.text
    assert "token/" not in caplog.text


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDUSER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-user")


@contextlib.asynccontextmanager
async def output(port: int, **keys: str) -> AsyncIterator[HttpOutput]:
    place = {"host": "127.0.0.1", "port": str(port), "aws_auth": "on", "aws_region": "eu-central-1"}
    made = HttpOutput({**place, "aws_service": "es", "json_date_key": "false", **keys})
    try:
        yield made
    finally:
        await made.close()


async def sent(output: Output, *numbers: int) -> None:
    await output.write([Delivery(1, numbered(*numbers))])


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "published"),
    [
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ],
)
def test_the_far_side_of_these_tests_checks_as_aws_test_suite_says(method: str, target: str, published: str) -> None:
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    request = Request(method, target, headers, b"")
    scope = ("20150830", "us-east-1", "service")
    assert signature(request, "host;x-amz-date", SUITE[1], scope, "20150830T123600Z") == published


async def test_a_request_is_signed_as_the_published_example_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3_GUIDE[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3_GUIDE[1])
    opts = Options("x", {"aws_region": "us-east-1", "aws_service": "s3"}, aws_keys())
    headers = CIMultiDict({"Range": "bytes=0-9"})
    await AwsAuth("x", opts, lambda: 1_369_353_600.0).authorize(
        "GET", "https://examplebucket.s3.amazonaws.com/test.txt", headers, b""
    )
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("compress", ["", "gzip", "zstd"])
async def test_the_body_is_signed_as_it_is_sent_with_path_query_and_headers(compress: str) -> None:
    async with SignedBodies() as side:
        keys = {"uri": "/a b/c%2Fd:e?z=1&a=%7Ex", "header": "X-Shop  toys  and more\nX-Shop two", "compress": compress}
        async with output(side.port, **keys) as one:
            await sent(one, 1, 2)
            assert (side.bodies, side.refusals, side.wrong) == ([b'[{"n":1},{"n":2}]'], [], [])


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    ("kind", "service"), [(EsSide, "es"), (OpensearchSide, "es"), (OtlpSide, "logs"), (RemoteWriteSide, "aps")]
)
async def test_each_output_is_signed_for_its_own_service_if_nothing_else_is_said(
    kind: type[EsSide], service: str
) -> None:
    async with signed(kind)() as side:
        side.service = service
        one = made(kind.plugin, {**side.keys, **side.where(), "aws_auth": "on", "aws_region": "eu-central-1"})
        await one.write([Delivery(1, side.chunk([1, 2]))])
        await one.close()
        assert side.wrong == []
        assert set(side.signers) == {"AKIDUSER"}


@pytest.mark.usefixtures("user")
async def test_a_far_side_whose_clock_differs_is_believed_after_one_refusal() -> None:
    async with SignedBodies(clock=lambda: time.time() - 3000) as side, output(side.port) as one:
        await sent(one, 1)
        await sent(one, 2)
        assert len(side.bodies) == 2
        assert [text.split(":")[0] for text in side.refusals] == ["Signature expired"]


# --- credentials -----------------------------------------------------------------------------------------------------


async def test_without_credentials_records_wait() -> None:
    async with SignedBodies() as side:
        with pytest.raises(Retry, match="AWS credentials: none in the environment"):
            async with output(side.port) as one:
                await sent(one, 1)
        assert side.requests == []


async def test_a_profile_of_the_shared_files_may_be_named_and_a_changed_file_counts_at_once(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text("[shop]\naws_access_key_id = ASIAOLD\naws_secret_access_key = secret-old\n")
    async with SignedBodies() as side, output(side.port, aws_profile="shop") as one:
        with pytest.raises(Retry, match="answered 403"):
            await sent(one, 1)
        shared.write_text("[shop]\naws_access_key_id = AKIDUSER\naws_secret_access_key = secret-of-the-user\n")
        await sent(one, 1)
        assert (len(side.bodies), side.signers) == (1, ["AKIDUSER"])


@pytest.mark.usefixtures("user")
async def test_a_role_is_assumed_with_its_external_id_and_again_when_what_it_gave_is_refused() -> None:
    keys = Keys()
    async with (
        SignedBodies(keys) as side,
        Sts(keys) as sts,
        output(
            side.port,
            aws_role_arn="arn:aws:iam::1:role/logs",
            aws_external_id="shop-7",
            aws_sts_endpoint=f"http://127.0.0.1:{sts.port}",
        ) as one,
    ):
        await sent(one, 1)
        await sent(one, 2)
        del keys.known["ASIA1"]
        await sent(one, 3)
        assert (len(side.bodies), side.signers, sts.wrong, side.wrong) == (3, ["ASIA1", "ASIA1", "ASIA2"], [], [])
        assert [(a["RoleArn"], a["ExternalId"]) for a in sts.asked] == [("arn:aws:iam::1:role/logs", "shop-7")] * 2


async def test_a_pods_service_account_is_an_identity_and_what_it_gets_is_renewed_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web-token").write_text("token/of-the-pod")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "web-token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod")
    keys = Keys()
    async with (
        SignedBodies(keys) as side,
        Sts(keys, life=60) as sts,
        output(side.port, aws_sts_endpoint=f"http://127.0.0.1:{sts.port}") as one,
    ):
        await sent(one, 1)
        (tmp_path / "web-token").write_text("token/the-next")
        await sent(one, 2)
        assert len(side.bodies) == 2
        assert (side.refusals, side.wrong, sts.wrong) == ([], [], [])
        shown = [asked["WebIdentityToken"] for asked in sts.asked]
        assert (shown[0], shown[-1]) == ("token/of-the-pod", "token/the-next")


@pytest.mark.parametrize("where", ["container", "machine"])
async def test_the_role_of_the_container_or_the_machine_is_taken(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys()
    async with SignedBodies(keys) as side, Metadata(keys) as metadata:
        base = f"http://127.0.0.1:{metadata.port}"
        if where == "container":
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{base}/container")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
        else:
            monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", base)
        async with output(side.port) as one:
            await sent(one, 1)
            assert (side.signers, side.wrong, metadata.wrong) == (["ASIA1"], [], [])


@pytest.mark.usefixtures("user")
async def test_a_role_that_is_refused_holds_records_back_and_says_why() -> None:
    keys = Keys()
    async with SignedBodies(keys) as side, Sts(keys) as sts:
        keys.known.clear()
        role = {"aws_role_arn": "arn:aws:iam::1:role/x", "aws_sts_endpoint": f"http://127.0.0.1:{sts.port}"}
        with pytest.raises(Retry, match=r"AWS credentials: .*AssumeRole"):
            async with output(side.port, **role) as one:
                await sent(one, 1)
        assert side.requests == []


async def test_what_the_far_side_repeats_of_a_token_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAGONE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-gone")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token/gone")
    async with SignedBodies() as side:
        with pytest.raises(Retry, match="is expired: \\*\\*\\*"):
            async with output(side.port) as one:
                await sent(one, 1)


def test_credentials_without_an_end_are_looked_for_again_after_five_minutes(tmp_path: Path) -> None:
    now = 0.0
    shared = tmp_path / "credentials"
    shared.write_text("[default]\naws_access_key_id = A1\naws_secret_access_key = secret-1\n")
    credentials = AwsCredentials("x", Source("eu-central-1"), lambda: now)
    assert credentials.now().access_key == "A1"
    assert repr(credentials.now()) == "<credentials>"
    shared.write_text("[default]\naws_access_key_id = A2\naws_secret_access_key = secret-2\n")
    now = 299.0
    assert credentials.now().access_key == "A1"
    now = 300.0
    assert credentials.now().access_key == "A2"


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"aws_service": "es"}, "'aws_auth' needs 'aws_region'"),
        ({"aws_region": "eu-central-1"}, "'aws_auth' needs 'aws_service'"),
        ({"aws_region": "r", "aws_service": "es", "http_user": "alice"}, "'aws_auth' and 'http_user' are both given"),
        ({"aws_region": "r", "aws_service": "es", "bearer_token": "t"}, "'aws_auth' and 'bearer_token' are both given"),
    ],
)
def test_what_a_signature_needs_is_said_at_start(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        HttpOutput({"aws_auth": "on", **keys})


def test_the_regions_name_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    HttpOutput({"aws_auth": "on", "aws_service_name": "es"})
