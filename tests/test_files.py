"""Files are read only where the user's project is, or where the configuration allows it."""

import os
from pathlib import Path

import pytest
from seats import seated, served
from upstream import spoken, upstream

from roundhouse_mcp.server import conversations, files
from roundhouse_mcp.server.errors import BadRequest
from roundhouse_mcp.server.files import Roots

PNG = b"\x89PNG\r\n\x1a\n"
MIB = 1024 * 1024


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path / "project"


def test_a_file_of_the_project_is_read(project: Path) -> None:
    (project / "a.txt").write_text("words")

    assert files.read(str(project / "a.txt"), Roots((project,)), most=5) == b"words"


def test_a_link_inside_the_project_is_followed(project: Path) -> None:
    (project / "a.txt").write_text("words")
    (project / "b.txt").symlink_to("a.txt")

    assert files.read(str(project / "b.txt"), Roots((project,)), most=5) == b"words"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("a.txt", "is no absolute path"),
        ("/project/a\0.txt", "is no absolute path"),
        ("{project}/../secret.txt", "is outside the directories"),
        ("{project}/out", "is outside the directories"),
        ("{project}/round", "cannot be read"),
        ("{project}/nobody", "cannot be read (No such file or directory)"),
        ("{project}", "cannot be read"),
        ("{project}/pipe", "is no regular file"),
        ("{project}/large", "has 1.0 MiB, the limit is 1 MiB"),
        ("{project}/own/keys.toml", "is outside the directories"),
    ],
)
def test_what_may_not_be_read_is_refused(project: Path, name: str, complaint: str) -> None:
    (project / "out").symlink_to(project.parent / "secret.txt")
    (project / "round").symlink_to(project / "round")
    (project / "large").write_bytes(b"x" * (MIB + 1))
    (project / "own").mkdir()
    (project / "own" / "keys.toml").write_text("key")
    os.mkfifo(project / "pipe")

    with pytest.raises(BadRequest) as refused:
        files.read(name.format(project=project), Roots((project,), project / "own"), most=MIB)

    assert complaint in refused.value.message


@pytest.mark.parametrize("wide", ["/", "{home}", "{home}/..", "/no/such/place", ""])
def test_what_would_open_everything_is_no_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "me").mkdir()

    found = files.roots(wide.format(home=tmp_path / "me"), (), tmp_path / "me" / ".roundhouse")

    assert found.allowed == ()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x0a\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
def test_a_picture_is_known_by_what_it_begins_with(project: Path, data: bytes, kind: str) -> None:
    (project / "picture.bin").write_bytes(data)

    assert conversations.image(str(project / "picture.bin"), Roots((project,))).media_type == kind


async def test_a_picture_of_the_project_travels_with_the_prompt(tmp_path: Path) -> None:
    picture = tmp_path / "shots" / "a.png"
    picture.parent.mkdir()
    picture.write_bytes(PNG)
    (tmp_path / "shots" / "b.png").write_text("no picture")
    config = f'[files]\nroots = ["{tmp_path}/shots"]\n'
    part = {"type": "image_url", "image_url": {"url": str(picture)}}
    async with (
        upstream(spoken("A pixel.")) as server,
        seated(tmp_path / "home", config, served("one", server.url, more=SEES)) as seat,
    ):
        await seat.said("complete", prompt="What is this?", images=[str(picture)])
        await seat.said("complete", messages=[{"role": "user", "content": [part]}])
        text = await seat.refused("complete", prompt="?", images=[f"{tmp_path}/shots/b.png"])

    sent = [post.json["messages"][0]["content"][-1]["image_url"]["url"] for post in server.posts]
    assert sent == ["data:image/png;base64,iVBORw0KGgo="] * 2
    assert "b.png is no PNG, JPEG, GIF or WebP picture." in text


SEES = 'capabilities = ["chat", "streaming", "vision"]'
