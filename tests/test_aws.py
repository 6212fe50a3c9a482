"""AWS credentials: where they are looked for, and requests signed with them."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx2
import pytest
from upstream import answer, upstream
from ways import SLOW

from roundhouse_mcp.providers import aws, aws_profile
from roundhouse_mcp.providers.aws import Signer, signature
from roundhouse_mcp.providers.catalog import located, shipped
from roundhouse_mcp.providers.errors import Locked, Misdirected
from roundhouse_mcp.providers.http import Http
from roundhouse_mcp.providers.probe import probe
from roundhouse_mcp.providers.types import Call, Message

ROW = replace(shipped()["bedrock"], region="us-east-1")
CALL = Call(messages=(Message(role="user", text="Grüße"),), max_tokens=8)
WHOLE = (
    '{"output":{"message":{"content":[{"text":"Hi"}]}},"stopReason":"end_turn",'
    '"usage":{"inputTokens":1,"outputTokens":1}}'
)
CONFIG = """
[default]
region = eu-west-1
s3 =
  max_concurrent_requests = 2

[profile work]
region = us-west-2
sso_session = corp

[profile bare]
output = json
"""
CREDENTIALS = """
[default]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = default/secret0
aws_session_token = passing%token0

[other]
aws_secret_access_key = other/secret0
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """An environment whose home has both files."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(CONFIG)
    (tmp_path / ".aws/credentials").write_text(CREDENTIALS)
    return {"HOME": str(tmp_path)}


@pytest.fixture
def signing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process has credentials in variables, and no file of its user's."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret/0")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token0")


@pytest.mark.parametrize(
    ("environ", "source", "region"),
    [
        ({}, "AWS profile default", "eu-west-1"),
        ({"AWS_PROFILE": "work"}, "AWS profile work", "us-west-2"),
        ({"AWS_DEFAULT_PROFILE": "work"}, "AWS profile work", "us-west-2"),
        ({"AWS_PROFILE": "bare"}, None, None),
        ({"AWS_PROFILE": "nobody"}, None, None),
        ({"AWS_ACCESS_KEY_ID": "AK", "AWS_PROFILE": "bare"}, "AWS_ACCESS_KEY_ID", None),
        ({"HOME": "/nowhere"}, None, None),
        ({"AWS_CONFIG_FILE": "/nowhere"}, "AWS profile default", None),
    ],
)
def test_credentials_are_seen_without_asking_anybody(
    files: dict[str, str], environ: dict[str, str], source: str | None, region: str | None
) -> None:
    whole = {**files, **environ}

    assert (aws_profile.source(whole), aws_profile.region(whole)) == (source, region)


def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_bytes(b"no section\n\xff")

    assert aws_profile.source({"AWS_CONFIG_FILE": str(broken)}) is None
    assert aws_profile.source({"AWS_CONFIG_FILE": str(tmp_path)}) is None


def test_every_secret_is_known_before_it_is_used(files: dict[str, str]) -> None:
    found = aws_profile.secrets({**files, "AWS_SECRET_ACCESS_KEY": "variable/secret0"})

    assert set(found) == {
        "variable/secret0",
        "default/secret0",
        "passing%token0",
        "other/secret0",
    }


def mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed_by_hand(asked: Any, secret: str, region: str) -> str:
    """The signature as AWS's documentation describes it."""
    given: Mapping[str, str] = asked.headers
    names = re.search(r"SignedHeaders=([^,]+)", given["authorization"])
    assert names is not None
    lines = [f"{name}:{given[name]}" for name in names[1].split(";")]
    path = asked.path.replace("%", "%25")
    canonical = "\n".join(
        [asked.method, path, "", *lines, "", names[1], hashlib.sha256(asked.body).hexdigest()]
    )
    day = given["x-amz-date"][:8]
    scope = f"{day}/{region}/bedrock/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (day, region, "bedrock", "aws4_request"):
        key = mac(key, part)
    return mac(key, f"AWS4-HMAC-SHA256\n{given['x-amz-date']}\n{scope}\n{digest}").hex()


@pytest.mark.usefixtures("signing")
async def test_without_a_key_the_body_as_sent_is_signed() -> None:
    learned: list[str] = []
    async with upstream(answer(WHOLE)) as server, Http(learned=learned.extend) as http:
        row = replace(ROW, base_url=server.url)
        async with http.stream(row, None, CALL, model="a.b-v1:0", limits=SLOW) as chunks:
            text = "".join([chunk.text async for chunk in chunks])

    (asked,) = server.asked
    assert text == "Hi"
    assert asked.path == "/v1/model/a.b-v1%3A0/converse-stream"
    assert "Grüße".encode() in asked.body
    assert asked.headers["x-amz-security-token"] == "token0"
    assert (
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"
        in (asked.headers["authorization"])
    )
    by_hand = signed_by_hand(asked, "secret/0", "us-east-1")
    assert asked.headers["authorization"].endswith(f"Signature={by_hand}")
    assert learned == ["secret/0", "token0"]


@pytest.mark.usefixtures("signing")
async def test_a_key_goes_before_a_signature() -> None:
    async with upstream(answer(WHOLE)) as server, Http() as http:
        row = replace(ROW, base_url=server.url)
        async with http.stream(row, "key", CALL, model="m", limits=SLOW) as chunks:
            assert [chunk.done async for chunk in chunks] == [True]

    assert server.asked[0].headers["authorization"] == "Bearer key"
    assert "x-amz-date" not in server.asked[0].headers


@pytest.mark.usefixtures("signing")
async def test_a_question_without_a_body_is_signed_too() -> None:
    async with upstream(answer("{}")) as server, Http() as http:
        row = replace(ROW, base_url="https://none.example", models_base=server.url)
        found = await probe(http, row, None)

    assert found.reachable
    assert server.asked[0].path == "/v1/foundation-models"
    assert (
        "SignedHeaders=host;x-amz-date;x-amz-security-token,"
        in (server.asked[0].headers["authorization"])
    )


@pytest.mark.usefixtures("signing")
async def test_credentials_in_files_are_read_again_after_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer, message = Signer(), httpx2.Request("GET", "https://x.example/")

    async def user() -> str:
        await signer.sign(ROW, message)
        return message.headers["authorization"].partition("=")[2].partition("/")[0]

    first = await user()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "LATER")
    second = await user()
    signer.read_at -= aws.READ_AGAIN_S
    third = await user()

    assert (first, second, third) == ("AKIDEXAMPLE", "AKIDEXAMPLE", "LATER")


@pytest.mark.usefixtures("signing")
async def test_credentials_that_run_out_are_renewed_by_the_library_alone() -> None:
    signer, message = Signer(), httpx2.Request("GET", "https://x.example/")
    frozen = SimpleNamespace(access_key="AK", secret_key="secret/0", token=None)
    signer.credentials = SimpleNamespace(refresh_needed=bool, get_frozen_credentials=lambda: frozen)
    signer.read_at -= 10 * aws.READ_AGAIN_S

    await signer.sign(ROW, message)

    assert "Credential=AK/" in message.headers["authorization"]
    assert "x-amz-security-token" not in message.headers


@pytest.mark.usefixtures("signing")
async def test_where_nothing_can_sign_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    message = httpx2.Request("GET", "https://x.example/")

    with pytest.raises(Misdirected, match="its region is not known; set AWS_REGION"):
        await Signer().sign(replace(ROW, region=None), message)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(Locked, match="neither a key nor AWS credentials"):
        await Signer().sign(ROW, message)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Locked, match=r"could not be had \(ProfileNotFound\); check them with"):
        await Signer().sign(ROW, message)
    monkeypatch.setattr(aws, "library_installed", lambda: False)
    with pytest.raises(Locked, match=r"pip install 'roundhouse-mcp\[bedrock\]'"):
        await Signer().sign(ROW, message)
    assert "authorization" not in message.headers


@pytest.mark.usefixtures("signing")
async def test_the_metadata_service_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    async with upstream(answer("{}")) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        assert await anyio.to_thread.run_sync(aws.found) is None

    assert server.asked == []


def test_the_query_is_part_of_what_is_signed() -> None:
    frozen = SimpleNamespace(access_key="AK", secret_key="secret/0", token=None)
    plain = httpx2.Request("GET", "https://x.example/a")
    asking = httpx2.Request("GET", "https://x.example/a?b=c")

    assert signature(plain, frozen, "r") != signature(asking, frozen, "r")


def test_an_address_of_the_users_own_also_lists_the_models() -> None:
    assert ROW.models_base == "https://bedrock.{region}.amazonaws.com"
    assert located(ROW, "https://gate.example").models_base is None
