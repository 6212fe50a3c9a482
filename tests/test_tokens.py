"""Tokens of clients that connect over HTTP: how they are made, kept, and taken away."""

import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from roundhouse_mcp.server.commands.root import root
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.redact import MASK, Redactor
from roundhouse_mcp.server.web import tokens
from roundhouse_mcp.server.web.tokens import Tokens


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["token", *arguments], env={"ROUNDHOUSE_HOME": str(home)})


def test_a_token_is_shown_once_and_kept_as_a_hash_that_only_its_owner_can_read(
    tmp_path: Path,
) -> None:
    said = run(tmp_path / "home", "add", "Claude Code")
    kept = tmp_path / "home" / "tokens.toml"
    listed = run(tmp_path / "home", "list")

    token = said.stdout.strip()
    assert (said.exit_code, len(token)) == (0, 54)
    assert "This is the token of claude-code; it is not shown again." in said.stderr
    assert token not in kept.read_text(encoding="utf-8") + listed.output + said.stderr
    assert listed.output.startswith("claude-code ")
    assert sys.platform == "win32" or stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_token_opens_in_the_name_it_was_made_for_and_nothing_else_does(tmp_path: Path) -> None:
    home = Home(tmp_path)
    made = dict(tokens.add(home, name, now=0.0) for name in ("Cursor", "zed", "Éditeur 1"))
    known = Tokens(home)
    strange = ["", "x", made["zed"][:-1], f"{made['zed']}x", "tokens.toml", "\udcff", "é" * 40]

    assert {name: known.name_of(token) for name, token in made.items()} == {
        "cursor": "cursor",
        "zed": "zed",
        "éditeur-1": "éditeur-1",
    }
    assert [known.name_of(each) for each in strange] == [None] * len(strange)


def test_what_is_added_opens_and_what_is_removed_opens_nothing_while_the_server_runs(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    known = Tokens(home)
    _, first = tokens.add(home, "cursor", now=0.0)
    before = known.name_of(first)
    tokens.remove(home, "Cursor")
    after = known.name_of(first)
    _, second = tokens.add(home, "cursor", now=0.0)

    assert (before, after, known.name_of(second)) == ("cursor", None, "cursor")


def test_a_file_that_went_bad_opens_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    _, token = tokens.add(home, "cursor", now=0.0)
    known = Tokens(home)
    home.tokens.write_text("no toml", encoding="utf-8")

    assert known.name_of(token) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "Cursor"], "cursor has a token already; to replace it run: roundhouse token remo"),
        (["add", "!!!"], "'!!!' is no name for a client; use letters, digits and dashes."),
        (["remove", "zed"], "holds no token of 'zed' (there: cursor)."),
    ],
)
def test_a_mistake_with_tokens_is_one_sentence_and_changes_nothing(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    tokens.add(Home(tmp_path), "cursor", now=0.0)
    before = Home(tmp_path).tokens.read_bytes()
    said = run(tmp_path, *arguments)

    assert said.exit_code == 2
    assert words in said.stderr
    assert Home(tmp_path).tokens.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[cursor]\nsha256 = 7\n", "'cursor' is no token; take it out of the file"),
        ("[cursor]\nsha256 = 'ab'\nmade = ''\n", "'cursor' is no token"),
        ("cursor = 'sk-canary-0123'\n", "'cursor' is no token"),
        ("[cursor", "is not valid TOML; remove it and run: roundhouse token add NAME"),
    ],
)
def test_a_broken_file_is_one_sentence_that_does_not_quote_it(
    tmp_path: Path, content: str, words: str
) -> None:
    home = Home(tmp_path)
    home.write(home.tokens, content)

    with pytest.raises(ConfigError) as refused:
        tokens.read(home.tokens)

    assert words in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_a_file_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    tokens.add(home, "cursor", now=0.0)
    home.tokens.chmod(0o640)

    with pytest.raises(ConfigError, match=r"can be read by other users .*; run: chmod 600"):
        tokens.read(home.tokens)


def test_a_token_is_taken_out_of_whatever_is_written(tmp_path: Path) -> None:
    _, token = tokens.add(Home(tmp_path), "cursor", now=0.0)

    assert Redactor().text(f"sent {token}, refused") == f"sent {MASK}, refused"
