"""Whether a model fits: the figures of the machine, of the file, and the sentence about them."""

import os
import socket
import struct
from pathlib import Path
from typing import cast

import pytest
from seats import seated

from roundhouse_mcp.providers import engine_models, gguf, memory
from roundhouse_mcp.providers.engine_models import Found
from roundhouse_mcp.providers.engines import Setup
from roundhouse_mcp.providers.errors import NotReady
from roundhouse_mcp.providers.memory import Held, Need
from roundhouse_mcp.server.engines import room
from roundhouse_mcp.server.listeners import pid_at

GB = 10**9
MIB = 1 << 20
LLAMA: dict[str, object] = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.context_length": 8192,
}
TOKEN = 32 * 8 * (128 + 128) * 2  # bytes: layers, heads, key and value, halves


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


def header(pairs: dict[str, object], *, version: int = 3) -> bytes:
    """As the format's specification lays it out, without tensors."""
    data = b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs))
    for name, value in pairs.items():
        data += text(name)
        match value:
            case str():
                data += struct.pack("<I", 8) + text(value)
            case int():
                data += struct.pack("<II", 4, value)
            case _:
                data += listed(cast("list[int]", value))
    return data


def listed(numbers: list[int]) -> bytes:
    return struct.pack(f"<IIQ{len(numbers)}I", 9, 4, len(numbers), *numbers)


def shaped(tmp_path: Path, **changes: object) -> gguf.Shape | None:
    file = tmp_path / "model.gguf"
    file.write_bytes(header({**LLAMA, **changes, "tokenizer.ggml.model": "gpt2"}))
    return gguf.shape(file)


def test_the_cache_is_what_every_layer_keeps_of_every_token(tmp_path: Path) -> None:
    found = shaped(tmp_path)

    assert found is not None
    assert (found.token_bytes, found.context) == (TOKEN, 8192)
    assert found.cache(8192) == TOKEN * 8192


def test_heads_may_differ_from_layer_to_layer_and_old_tokens_may_be_forgotten(
    tmp_path: Path,
) -> None:
    changes = {
        "llama.attention.head_count_kv": [8] * 16 + [0] * 16,
        "llama.attention.sliding_window": 1024,
    }
    found = shaped(tmp_path, **changes)

    assert found is not None
    assert found.token_bytes == TOKEN // 2
    assert found.cache(8192) == TOKEN // 2 * 1024


@pytest.mark.parametrize("name", ["llama.ssm.state_size", "llama.attention.kv_lora_rank"])
def test_a_model_that_keeps_something_else_is_not_guessed_at(tmp_path: Path, name: str) -> None:
    assert shaped(tmp_path, **{name: 16}) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"PK\x03\x04 not a model at all",
        header(LLAMA, version=99),
        header(LLAMA)[:90],
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60) + struct.pack("<Q", 1 << 60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 77),
    ],
)
def test_a_file_that_makes_no_sense_has_no_shape(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(data)

    assert gguf.shape(file) is None
    assert gguf.shape(tmp_path / "nowhere.gguf") is None


def test_what_fits_or_cannot_be_known_is_not_refused() -> None:
    assert memory.shortage("m", Need(weights=GB), GB, ()) is None
    assert memory.shortage("m", Need(weights=GB), None, ()) is None


def test_a_shortage_names_the_figures_and_first_what_alone_would_free_enough() -> None:
    need = Need(weights=5 * GB, cache=GB, tokens=8192)
    held = [
        Held("a/small", GB),
        Held("b/huge", 20 * GB),
        Held("c/right", 4 * GB),
        Held("d/x", None),
    ]

    assert memory.shortage("e/new", need, 3 * GB, held) == (
        "e/new needs about 6.0 GB (5.0 GB of weights and 1.0 GB for 8192 tokens) of memory, and "
        "3.0 GB are free; unload_model can free c/right (4.0 GB), b/huge (20.0 GB), "
        "a/small (1.0 GB) and 1 more, or name a smaller model"
    )
    assert (memory.shortage("m", Need(weights=2 * GB), GB, ()) or "").endswith(
        "no model is loaded that could be unloaded; name a smaller one"
    )


def lay(root: Path, **files: str) -> None:
    for path, words in files.items():
        file = root / path.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(words)


def machine(tmp_path: Path, group: str) -> Path:
    lay(tmp_path, proc__meminfo="MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable: 8192 kB\n")
    lay(tmp_path, proc__self__cgroup=group)
    return tmp_path


def test_without_limits_the_kernels_word_counts(tmp_path: Path) -> None:
    assert memory.free(machine(tmp_path, "0::/user\n")) == 8 * MIB
    assert memory.free(tmp_path / "nothing") is None


def test_a_control_group_or_one_around_it_may_allow_less(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/outer/inner\n")
    outer, inner = root / "sys/fs/cgroup/outer", root / "sys/fs/cgroup/outer/inner"
    lay(inner, **{"memory.max": "max\n", "memory.current": f"{MIB}\n"})
    lay(outer, **{"memory.max": f"{6 * MIB}\n", "memory.current": f"{4 * MIB}\n"})
    lay(outer, **{"memory.stat": f"anon 5\ninactive_file {MIB}\n"})

    assert memory.free(root) == 3 * MIB


def test_the_first_kind_of_control_groups_is_read_too(tmp_path: Path) -> None:
    root = machine(tmp_path, "7:cpu,memory:/box\n3:pids:/box\n")
    box = root / "sys/fs/cgroup/memory/box"
    lay(box, **{"memory.limit_in_bytes": f"{4 * MIB}", "memory.usage_in_bytes": f"{MIB}"})

    assert memory.free(root) == 3 * MIB


def setup(**more: object) -> Setup:
    row: dict[str, object] = {"name": "eng", "kind": "llamacpp", "model": "m", "alias": "m"}
    return Setup(**{**row, **more})  # pyright: ignore[reportArgumentType]


def test_an_engine_needs_its_file_and_the_context_of_all_its_slots(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(header(LLAMA))
    found = Found(str(file), 5 * GB)

    need = engine_models.needs(setup(context=1024, slots=4), found)

    assert (need.weights, need.cache, need.tokens) == (5 * GB, TOKEN * 4096, 4096)


async def test_an_engine_that_would_not_fit_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free", lambda: GB)
    found = Found(str(tmp_path / "model.gguf"), 5 * GB)
    async with seated(tmp_path) as seat:
        with pytest.raises(NotReady, match=r"eng/m needs about 5.0 GB of memory, and 1.0 GB are"):
            await room.check(seat.desk, setup(), found)
        await room.check(seat.desk, setup(check_memory=False), found)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells")
def test_who_listens_on_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as line:
        port = line.getsockname()[1]

        assert pid_at(port) == os.getpid()
    assert pid_at(port) is None
