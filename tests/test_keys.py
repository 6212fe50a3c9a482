"""Keys: where they are looked up, how they are kept, and that nobody sees them."""

import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundhouse_mcp.providers.catalog import Provider
from roundhouse_mcp.server import keys
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.keys import Keys, clean

CANARY = "sk-canary-0123456789abcdef"
OPENAI = Provider(
    name="openai",
    wire="openai_chat",
    base_url="https://x",
    key_env=("OPENAI_API_KEY", "OPENAI_KEY"),
)


def test_the_first_variable_of_the_row_wins_then_the_others_then_the_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    keys.store(home, "openai", "from-the-file")

    found = [
        Keys.load(home, environ).for_provider(OPENAI)
        for environ in (
            {"OPENAI_API_KEY": "first", "OPENAI_KEY": "second"},
            {"OPENAI_API_KEY": " ", "OPENAI_KEY": "second"},
            {},
        )
    ]

    assert [(key.name, key.value) for key in found if key] == [
        ("OPENAI_API_KEY", "first"),
        ("OPENAI_KEY", "second"),
        ("keys.toml", "from-the-file"),
    ]


@pytest.mark.parametrize("raw", ["abc123\n", "\r\n abc123 \t", "abc123"])
def test_white_space_around_a_key_is_dropped(raw: str) -> None:
    key = Keys({"OPENAI_API_KEY": raw}).for_provider(OPENAI)

    assert key is not None
    assert key.value == "abc123"


@pytest.mark.parametrize("raw", ["two words", "line\nbreak", "schlüssel", "bell\x07", "x" * 9000])
def test_a_key_no_header_can_carry_is_not_used_and_not_quoted(raw: str) -> None:
    found = Keys({"OPENAI_API_KEY": raw})

    assert found.for_provider(OPENAI) is None
    assert "The key in OPENAI_API_KEY is not used" in found.problems["openai"]
    assert raw[:6] not in found.problems["openai"]


def test_a_key_never_shows_in_text() -> None:
    found = Keys({"OPENAI_API_KEY": CANARY}, {"openai": CANARY})
    key = found.for_provider(OPENAI)

    assert CANARY not in f"{key} {key!r} {found} {found!r}"


def test_the_file_is_for_its_owner_alone_and_replaced_whole(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    keys.store(home, "openai", "one")
    keys.store(home, "my-vllm", 'with"quote\\and-slash')
    keys.store(home, "openai", "two\n")

    assert stat.S_IMODE(home.keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert keys.read(home.keys) == {"my-vllm": 'with"quote\\and-slash', "openai": "two"}
    assert [path.name for path in home.path.iterdir()] == ["keys.toml"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_others_can_read_is_not_used_and_the_command_that_helps_is_named(
    tmp_path: Path, mode: int
) -> None:
    home = Home(tmp_path)
    keys.store(home, "openai", CANARY)
    home.keys.chmod(mode)

    found = Keys.load(home, {})

    assert found.for_provider(OPENAI) is None
    assert f"chmod 600 {home.keys}" in found.problems["keys.toml"]
    with pytest.raises(ConfigError, match="chmod 600"):
        keys.store(home, "groq", "x")


@pytest.mark.parametrize("content", [f"openai = {CANARY}", f"openai = ['{CANARY}']", "openai = 3"])
def test_a_broken_file_is_told_of_without_quoting_it(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path)
    home.keys.touch(mode=0o600)
    home.keys.write_text(content, encoding="utf-8")

    problem = Keys.load(home, {}).problems["keys.toml"]

    assert str(home.keys) in problem
    assert CANARY not in problem


def test_removing_a_key_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    home = Home(tmp_path)
    keys.store(home, "openai", "x")

    with pytest.raises(ConfigError, match=r"no key for 'groq' \(there: openai\)"):
        keys.remove(home, "groq")

    keys.remove(home, "openai")
    assert Keys.load(home, {}).present_names() == ()


class Ring(ModuleType):
    """A system keyring in memory."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}

    def set_password(self, service: str, name: str, value: str) -> None:
        self.kept[service, name] = value

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


def test_a_key_in_the_keyring_is_only_marked_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    ring = Ring()
    monkeypatch.setitem(sys.modules, "keyring", ring)

    keys.store_in_keyring(home, "openai", CANARY)
    found = Keys.load(home, {}).for_provider(OPENAI)
    keys_file = home.keys.read_text(encoding="utf-8")
    keys.remove(home, "openai")

    assert found == keys.Key("keyring", CANARY)
    assert CANARY not in keys_file
    assert ring.kept == {}


def test_a_keyring_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    found = Keys({}, {"openai": {"keyring": True}})

    with pytest.raises(ConfigError, match="keyring extra is not installed"):
        keys.store_in_keyring(Home(tmp_path), "openai", "x")
    assert found.for_provider(OPENAI) is None
    assert "roundhouse-mcp[keyring]" in found.problems["openai"]


@given(value=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80))
def test_any_key_comes_back_from_the_file_as_it_was(
    value: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))

    keys.store(home, "openai", value)

    assert keys.read(home.keys)["openai"] == clean(value) == value


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="ROUNDHOUSE_HOME"):
        keys.store(Home(tmp_path / "file" / "home"), "openai", "x")


def test_the_home_is_the_same_however_a_client_strips_the_environment() -> None:
    full = Home.find({"HOME": "/home/ada", "XDG_DATA_HOME": "/x", "XDG_CONFIG_HOME": "/y"})
    bare = Home.find({"HOME": "/home/ada"})
    named = Home.find({"HOME": "/home/ada", "ROUNDHOUSE_HOME": "/srv/roundhouse"})

    assert full == bare == Home(Path("/home/ada/.roundhouse"))
    assert named.config == Path("/srv/roundhouse/config.toml")
