"""A running server takes up a changed configuration, and keeps what it had when it cannot."""

import logging
from pathlib import Path

import pytest
from seats import budget, scripted, seated, write_config


async def test_a_provider_added_to_the_file_answers_the_next_call(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one")) as seat:
        before = await seat.refused("complete", prompt="Hi", model="two/m")
        write_config(tmp_path, scripted("one"), scripted("two", "text=Here"))
        after = await seat.said("complete", prompt="Hi", model="two/m")

        servers = seat.rows("SELECT config_hash FROM servers")

    assert "two" in before
    assert after["text"] == "Here"
    assert servers == [{"config_hash": seat.desk.config_hash}]


async def test_a_budget_lowered_in_the_file_holds_from_the_next_call_on(tmp_path: Path) -> None:
    async with seated(tmp_path, scripted("one"), budget("1")) as seat:
        await seat.said("complete", prompt="Hi", model="one/m")
        write_config(tmp_path, scripted("one"), budget("0.000001"))
        text = await seat.refused("complete", prompt="Hi", model="one/m")

    assert "code: over_budget" in text


async def test_a_broken_file_changes_nothing_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with seated(tmp_path, scripted("one")) as seat:
        write_config(tmp_path, "[routing\nstrategy = ")
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                await seat.said("complete", prompt="Hi", model="one/m")

    said = [record.message for record in caplog.records if "not used" in record.message]
    assert len(said) == 1
    assert "config.toml is not valid TOML" in said[0]


async def test_a_key_set_while_the_server_runs_is_used_and_kept_secret(tmp_path: Path) -> None:
    needs_key = '[providers.one]\nlike = "openai"\nbase_url = "mock://one"\nmodels = ["m"]\n'
    async with seated(tmp_path, needs_key) as seat:
        before = await seat.refused("complete", prompt="Hi", model="one/m")
        keys = tmp_path / "keys.toml"
        keys.write_text('one = "canary-1234567890-canary"\n', encoding="utf-8")
        keys.chmod(0o600)
        after = await seat.said("complete", prompt="canary-1234567890-canary", model="one/m")
        hidden = seat.desk.redactor.text("canary-1234567890-canary")

    assert "key" in before
    assert after["finish_reason"] == "stop"
    assert "canary" not in hidden
