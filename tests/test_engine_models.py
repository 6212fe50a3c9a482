"""Where the model of an engine is found, and what its section may say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from roundhouse_mcp.providers import engines
from roundhouse_mcp.providers.engine_models import context_of, find
from roundhouse_mcp.providers.engines import Unusable
from roundhouse_mcp.providers.setup import Kind, Setup
from roundhouse_mcp.server.config import load
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.home import Home

REVISION = "0" * 40


def setup(model: str, kind: Kind = "llamacpp", **more: Any) -> Setup:
    return Setup(name="own", kind=kind, model=model, alias="m", **more)


def gguf(path: Path, start: bytes = b"GGUF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(start + bytes(60))
    return path


def downloaded(home: Path, name: str, *files: str) -> Mapping[str, str]:
    """A Hugging Face cache with a repository of these files; the environment that names it."""
    folder = home / "hub" / f"models--{name.replace('/', '--')}"
    for file in files:
        gguf(folder / "snapshots" / REVISION / file, b"{}" if "json" in file else b"GGUF")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION, encoding="utf-8")
    return {"HF_HOME": str(home)}


def refusal(said: Setup, home: Path, environ: Mapping[str, str]) -> str:
    with pytest.raises(Unusable) as refused:
        find(said, home, environ)
    return str(refused.value)


def test_a_file_is_found_absolutely_or_from_the_home(tmp_path: Path) -> None:
    path = gguf(tmp_path / "models" / "a.gguf")

    for written in (str(path), "models/a.gguf", "models"):
        found = find(setup(written), tmp_path, {})

        assert (found.path, found.size) == (str(path), 64)


def test_the_parts_of_a_model_are_one(tmp_path: Path) -> None:
    first = gguf(tmp_path / "a-00001-of-00002.gguf")
    gguf(tmp_path / "a-00002-of-00002.gguf")

    assert find(setup(str(tmp_path)), tmp_path, {}).path == str(first)
    assert find(setup(str(first)), tmp_path, {}).size == 128


@pytest.mark.parametrize("written", ["org/name", "org/name/b.gguf"])
def test_an_id_is_found_in_the_cache_of_hugging_face(tmp_path: Path, written: str) -> None:
    environ = downloaded(tmp_path, "org/name", "b.gguf")

    found = find(setup(written), tmp_path, environ)

    assert found.path.endswith(f"snapshots/{REVISION}/b.gguf")


def test_a_directory_of_the_hub_is_found_by_its_id(tmp_path: Path) -> None:
    environ = downloaded(tmp_path, "org/name", "config.json", "a.safetensors")

    found = find(setup("org/name", "mlx"), tmp_path, environ)

    assert (Path(found.path).name, found.size) == (REVISION, 64)


@pytest.mark.parametrize("kind", ["llamacpp", "mlx", "transformers"])
def test_an_id_that_is_not_here_is_not_downloaded(tmp_path: Path, kind: Kind) -> None:
    said = refusal(setup("org/name", kind), tmp_path, {"HF_HOME": str(tmp_path)})

    assert said.startswith(
        f"org/name is neither a file nor in the Hugging Face cache ({tmp_path}/hub), and nothing "
        "is downloaded; run `hf download org/name`"
    )
    assert ("allow_download" in said) == (kind != "llamacpp")


def test_the_user_may_allow_a_download(tmp_path: Path) -> None:
    allowed = setup("org/name", "mlx", allow_download=True)

    found = find(allowed, tmp_path, {"HF_HOME": str(tmp_path)})
    environ = engines.environment(allowed, {"HF_TOKEN": "hf_x", "OPENAI_API_KEY": "sk"}, "t")
    offline = engines.environment(setup("x"), {"HF_TOKEN": "hf_x"}, "t")

    assert found.path == "org/name"
    assert environ["HF_TOKEN"] == "hf_x"
    assert {"OPENAI_API_KEY", "HF_HUB_OFFLINE"} & {*environ} == set()
    assert offline["HF_HUB_OFFLINE"] == "1"
    assert "HF_TOKEN" not in offline


@pytest.mark.parametrize(
    ("said", "context"),
    [
        ('{"max_position_embeddings": 512}', 512),
        ('{"text_config": {"max_position_embeddings": 99}}', 99),
        ('{"max_position_embeddings": "many"}', None),
        ("[]", None),
        ("not JSON", None),
    ],
)
def test_what_a_hub_model_can_read_is_in_its_configuration(
    tmp_path: Path, said: str, context: int | None
) -> None:
    (tmp_path / "config.json").write_text(said, encoding="utf-8")

    assert context_of(str(tmp_path)) == context
    assert context_of(str(tmp_path / "nowhere")) is None


BAD = {
    "nowhere.gguf": "there is no model at {home}/nowhere.gguf; correct providers.own.model",
    "~nobody-has-this/x.gguf": "there is no model at ",
    "page.gguf": "{home}/page.gguf is no GGUF file; a download may have gone wrong",
    "empty": "{home}/empty holds no GGUF file",
    "two": "{home}/two holds several models (a.gguf, b.gguf); name one",
}


@pytest.mark.parametrize("written", BAD)
def test_what_is_no_model_is_refused_before_anything_is_started(
    tmp_path: Path, written: str
) -> None:
    gguf(tmp_path / "page.gguf", b"<!DOCTYPE html>")
    (tmp_path / "empty").mkdir()
    gguf(tmp_path / "two" / "a.gguf")
    gguf(tmp_path / "two" / "b.gguf")

    assert refusal(setup(written), tmp_path, {}).startswith(
        BAD[written].replace("{home}", str(tmp_path))
    )


def test_a_file_for_another_engine_says_which(tmp_path: Path) -> None:
    path = gguf(tmp_path / "a.gguf")

    said = refusal(setup(str(path), "mlx"), tmp_path, {})

    assert said == f'{path} is no directory with a config.json; engine = "llamacpp" loads it'


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        (
            'engine = "llamacpp"',
            "providers.own.model: it is missing: a path, or a Hugging Face id.",
        ),
        ('engine = "ollama"', "providers.own.engine: it must be one of 'llamacpp', 'mlx'"),
        ('engine = "command"', "providers.own.command: it is missing: the words that start"),
        (
            'engine = "command"\ncommand = ["serve"]',
            "providers.own.command: it must say where {port} goes.",
        ),
        (
            'engine = "mlx"\nmodel = "a/b"\nbase_url = "http://localhost:1/v1"',
            "providers.own.base_url: an engine that is started here has no such key; remove it.",
        ),
        (
            'like = "openai"\nmodel = "gpt-5"',
            "providers.own.model: it is for engines that are started here, with engine; did you "
            "mean models?",
        ),
        ('like = "openai"\nidle_s = 5', "providers.own.idle_s: it is for engines"),
        ('engine = "mlx"\nmodel = "a/b"\nidle_s = 0', "providers.own.idle_s: it must be "),
        ('engine = "mlx"\nmodel = "a/b"\nmodels = ["x", "y"]', "an engine has one model"),
    ],
)
def test_a_section_that_cannot_work_names_its_key(
    tmp_path: Path, section: str, complaint: str
) -> None:
    home = Home(tmp_path)
    home.write(home.config, f"[providers.own]\n{section}\n")

    with pytest.raises(ConfigError) as refused:
        load(home, {})

    assert complaint in str(refused.value)


def test_the_command_carries_no_token() -> None:
    words = engines.command(setup("/m.gguf", context=512, arguments=("--threads", "1")), "/m", 99)

    assert words[words.index("--port") + 1] == "99"
    assert words[-4:] == ["--context", "512", "--threads", "1"]
    assert not any("TOKEN" in word for word in words)
