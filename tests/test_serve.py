"""The server as an editor runs it: a process on two pipes, ended in every way clients end one."""

import json
import signal
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from seats import (
    Era,
    budget,
    chain,
    launch,
    rows,
    scripted,
    served,
    settled,
    started,
    text_of,
    write_config,
)
from upstream import spoken, upstream

ONE = scripted("one", "text=All%20is%20well.", more='embedding_model = "finder"')
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "Claude Code", "version": "2"},
}
ENDS = [[], [signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]]
END_NAMES = ["end-of-input", "sigint", "sigterm", "sigint-then-sigterm"]
every_end = pytest.mark.parametrize("ends", ENDS, ids=END_NAMES)
HELD = "SELECT * FROM reservations WHERE state = 'held'"


@asynccontextmanager
async def process(home: Path, *arguments: str) -> AsyncGenerator[Process]:
    """The bare process; killed at the end of the block if it has not left by itself."""
    how = launch(home, *arguments)
    command = [how.command, *how.args]
    async with await anyio.open_process(command, env=how.env, stderr=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            if running.returncode is None:
                running.kill()


def message(method: str, number: int, **params: Any) -> bytes:
    body = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": META}}
    return json.dumps(body).encode() + b"\n"


async def ask(running: Process, tool: str, **arguments: Any) -> None:
    assert running.stdin is not None
    await running.stdin.send(message("tools/call", 1, name=tool, arguments=arguments))


async def answered(running: Process) -> dict[str, Any]:
    """The next answer."""
    assert running.stdout is not None
    data = b""
    while not data.endswith(b"\n"):
        data += await running.stdout.receive()
    return json.loads(data)


async def everything(running: Process) -> list[dict[str, Any]]:
    """All messages until the process closes its output."""
    assert running.stdout is not None
    data = b"".join([part async for part in running.stdout])
    return [json.loads(line) for line in data.splitlines()]


async def complaint(running: Process) -> str:
    assert running.stderr is not None
    return b"".join([part async for part in running.stderr]).decode()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def end(running: Process, ends: Sequence[signal.Signals]) -> int:
    """Ends the process as some client would; its exit code."""
    assert running.stdin is not None
    if not ends:
        await running.stdin.aclose()
    for each in ends:
        running.send_signal(each)
    return await running.wait()


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_both_protocol_eras_are_served_over_stdio(tmp_path: Path, era: Era) -> None:
    heard: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    slow = scripted("slow", "delay_ms=60&text=" + "%20".join(f"word{n}" for n in range(12)))
    write_config(tmp_path, ONE, slow)
    with anyio.fail_after(20):
        async with started(tmp_path, era=era) as seat:
            version = seat.client.protocol_version
            tools = (await seat.client.list_tools()).tools
            result = await seat.client.call_tool(
                "complete", {"prompt": "Hi", "model": "slow/m"}, progress_callback=note
            )

    assert version == ("2026-07-28" if era == "auto" else "2025-11-25")
    assert len(tools) == 6
    assert result.structured_content is not None
    assert result.structured_content["text"].endswith("word11")
    assert heard


async def test_all_six_tools_answer_over_stdio(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    with anyio.fail_after(20):
        async with started(tmp_path, "--client", "cursor") as seat:
            said = [
                await seat.said("complete", prompt="Hi"),
                await seat.said("embed", texts=["a"], query="a"),
                await seat.said("route_for_task", task="code"),
                await seat.said("provider_health"),
                await seat.said("cost_report", group_by=["client"]),
                await seat.said("unload_model", model="one/m"),
            ]
        clients = rows(tmp_path, "SELECT DISTINCT client FROM calls")

    assert said[4]["groups"][0]["client"] == "cursor"
    assert clients == [{"client": "cursor"}]


async def test_a_client_is_known_by_what_it_calls_itself(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    with anyio.fail_after(20):
        async with process(tmp_path) as running:
            await ask(running, "complete", prompt="Hi")
            found = await answered(running)
            await end(running, [])

    assert found["result"]["structuredContent"]["text"] == "All is well."
    assert rows(tmp_path, "SELECT client FROM calls") == [{"client": "claude-code"}]


async def test_requests_of_a_piped_script_are_answered_before_the_end(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    with anyio.fail_after(20):
        async with process(tmp_path) as running:
            assert running.stdin is not None
            await running.stdin.send(b"".join(message("tools/list", n) for n in range(5)))
            code = await end(running, [])
            answers = await everything(running)

    assert code == 0
    assert sorted(answer["id"] for answer in answers) == [0, 1, 2, 3, 4]


async def test_a_prompt_of_20_mb_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    with anyio.fail_after(20):
        async with started(tmp_path) as seat:
            refused = await seat.refused("complete", prompt="x" * 20_000_000)
            said = await seat.said("complete", prompt="Hi")

    assert refused.startswith("The request has 19.1 MiB, the limit is 8 MiB.")
    assert said["text"] == "All is well."


async def test_lines_that_are_no_messages_do_not_stop_the_server(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    noise = b'hello\n{}\n[]\n\xff\xfe\n{"jsonrpc": "2.0", "id": 9}\n'
    with anyio.fail_after(20):
        async with process(tmp_path) as running:
            assert running.stdin is not None
            await running.stdin.send(noise + message("tools/list", 2))
            code = await end(running, [])
            answers = await everything(running)

    assert code == 0
    assert len(next(each for each in answers if each.get("id") == 2)["result"]["tools"]) == 6


@pytest.mark.parametrize("ends", [[], [signal.SIGTERM]], ids=["end-of-input", "sigterm"])
async def test_an_idle_server_leaves_cleanly(
    tmp_path: Path, ends: Sequence[signal.Signals]
) -> None:
    write_config(tmp_path, ONE)
    with anyio.fail_after(20):
        async with process(tmp_path) as running:
            assert running.stdin is not None
            await running.stdin.send(message("tools/list", 1))
            await answered(running)
            await settled(tmp_path, "SELECT * FROM servers")
            code = await end(running, ends)
            said = await complaint(running)

    assert (code, said) == (0, "")
    assert rows(tmp_path, "SELECT ended IS NOT NULL AS gone FROM servers") == [{"gone": 1}]


async def test_a_server_nobody_asked_leaves_nothing_behind(tmp_path: Path) -> None:
    write_config(tmp_path, ONE)
    with anyio.fail_after(20):
        async with process(tmp_path) as running:
            code = await end(running, [])
            said = await complaint(running)

    assert (code, said) == (0, "")
    assert names_in(tmp_path) == {"config.toml"}


@every_end
async def test_a_server_that_is_ended_settles_the_call_it_runs(
    tmp_path: Path, ends: Sequence[signal.Signals]
) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        write_config(tmp_path, served("one", server.url), budget("10"))
        with anyio.fail_after(20):
            async with process(tmp_path) as running:
                await ask(running, "complete", prompt="Hi")
                await said.wait()
                code = await end(running, ends)
                await server.gone.wait()

    call = rows(tmp_path, "SELECT status, attempts FROM calls")
    assert code == 0
    assert call == [{"status": "cancelled", "attempts": 1}]
    assert rows(tmp_path, HELD) == rows(tmp_path, "SELECT * FROM inflight") == []
    assert rows(tmp_path, "SELECT reserved_nano FROM budget_windows") == [{"reserved_nano": 0}]


async def test_cancelling_over_stdio_hangs_up_upstream(tmp_path: Path) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        write_config(tmp_path, served("one", server.url), budget("10"))
        with anyio.fail_after(20):
            async with started(tmp_path) as seat:
                async with anyio.create_task_group() as group:
                    group.start_soon(seat.client.call_tool, "complete", {"prompt": "Hi"})
                    await said.wait()
                    group.cancel_scope.cancel()
                await server.gone.wait()
                calls = await settled(tmp_path, "SELECT status FROM calls")
                left = rows(tmp_path, HELD)

    assert calls == [{"status": "cancelled"}]
    assert left == []


async def test_two_servers_share_a_budget(tmp_path: Path) -> None:
    said, pause = anyio.Event(), anyio.Event()
    async with upstream(spoken("So far ", "good.", said=said, pause=pause)) as server:
        write_config(tmp_path, served("one", server.url, price=("1", "1000")), budget("1.00"))
        with anyio.fail_after(20):
            async with started(tmp_path) as first, started(tmp_path) as second:
                refused: list[str] = []
                answers: list[dict[str, Any]] = []

                async def meanwhile() -> None:
                    await said.wait()
                    refused.append(await second.refused("complete", prompt="Hi", max_tokens=900))
                    pause.set()

                async with anyio.create_task_group() as group:
                    group.start_soon(meanwhile)
                    answers.append(await first.said("complete", prompt="Hi", max_tokens=900))
                allowed = await second.said("complete", prompt="Hi", max_tokens=900)

    assert "code: over_budget" in refused[0]
    assert len(server.posts) == 2
    assert answers[0]["text"] == allowed["text"] == "So far good."


async def test_two_servers_share_a_circuit(tmp_path: Path) -> None:
    write_config(
        tmp_path,
        chain("bad", "good"),
        scripted("bad", "status=503"),
        scripted("good", "text=Here."),
        "[retries]\nper_provider = 1\n[circuits]\nfailure_threshold = 2\n",
    )
    with anyio.fail_after(20):
        async with started(tmp_path) as first, started(tmp_path) as second:
            one = await first.said("complete", prompt="Hi")
            two = await second.said("complete", prompt="Hi")
            three = await first.said("complete", prompt="Hi")
            four = await second.said("complete", prompt="Hi")

    assert [len(said.get("attempts", [1])) for said in (one, two, three, four)] == [2, 2, 1, 1]


async def test_money_held_by_a_killed_server_is_presumed_spent_by_the_next(
    tmp_path: Path,
) -> None:
    said = anyio.Event()
    async with upstream(spoken("So far ", "never", said=said, pause=anyio.Event())) as server:
        write_config(tmp_path, served("one", server.url), budget("10"))
        with anyio.fail_after(20):
            async with process(tmp_path) as running:
                await ask(running, "complete", prompt="Hi")
                await said.wait()
                held = (await settled(tmp_path, HELD))[0]
                running.kill()
                await running.wait()
            async with started(tmp_path) as seat:
                await seat.said("route_for_task")
                window = seat.rows("SELECT spent_nano, reserved_nano FROM budget_windows")[0]
                after = seat.rows("SELECT state, cost_nano FROM reservations")
                calls = seat.rows("SELECT call_id, status FROM calls")
                running_calls = seat.rows("SELECT * FROM inflight")

    assert held["amount_nano"] > 0
    assert window == {"spent_nano": held["amount_nano"], "reserved_nano": 0}
    assert [row["state"] for row in after] == ["presumed"]
    assert calls == [{"call_id": held["call_id"], "status": "lost"}]
    assert running_calls == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[routing\n", ["config.toml", "not valid TOML", "line 1"]),
        ('[limits]\ntimeout_s = "soon"\n', ["config.toml line 2", "limits.timeout_s", "number"]),
        ('[providers.openai]\napi_key = "sk-abc"\n', ["line 2", "roundhouse keys set openai"]),
    ],
)
async def test_a_configuration_that_is_wrong_is_one_sentence_and_no_server(
    tmp_path: Path, config: str, words: list[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(config)
    file.chmod(0o600)
    with anyio.fail_after(20):
        async with process(tmp_path) as running:
            code = await running.wait()
            text = await complaint(running)
            answers = await everything(running)

    assert code == 2
    assert text.startswith("Error: ")
    assert text.count("\n") == 1
    for word in words:
        assert word in text
    assert "sk-abc" not in text
    assert answers == []
    assert names_in(tmp_path) == {"config.toml"}


async def test_a_home_that_is_a_file_leaves_the_file_alone_and_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("not a directory")
    with anyio.fail_after(20):
        async with process(home) as running:
            await ask(running, "complete", prompt="Hi")
            await end(running, [])
            text = await complaint(running)
            answers = await everything(running)

    said = text + "".join(json.dumps(answer) for answer in answers)
    assert str(home) in said
    assert "Traceback" not in said
    assert home.read_text() == "not a directory"


async def test_starting_and_ending_writes_nothing_outside_the_home(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "project"
    elsewhere.mkdir()
    write_config(home, ONE)
    with anyio.fail_after(20):
        async with started(home) as seat:
            result = await seat.call("complete", prompt="Hi")

    assert text_of(result).startswith("All is well.")
    assert names_in(tmp_path) == {"home", "project"}
    assert oct((home / "ledger.db").stat().st_mode & 0o777) == "0o600"
    assert oct(home.stat().st_mode & 0o777) == "0o700"
