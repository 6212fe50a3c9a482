"""Packages of others: found by their entry points, used when the configuration names them."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner
from mcp import Client
from packages import PARROT, built, distribution, forget, on_path
from seats import Seat, launch, scripted, seated, text_of, write_config
from upstream import Request, Send, head, upstream

from roundhouse_mcp.providers import plugins, wire
from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.config import understood
from roundhouse_mcp.server.errors import ConfigError
from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.keys import Keys
from roundhouse_mcp.server.registry import Registry
from roundhouse_mcp.server.serve import build

STRANGE = "strange = strange:Strange"
BROKEN = """
print("a line on stdout")
raise RuntimeError("sk-canary-0123456789")
"""
LOOKLESS = """
class Meta(type):
    ROW = property(lambda self: 1 / 0)
class Thing(metaclass=Meta):
    pass
"""
Install = Callable[..., None]

needs_example = pytest.mark.skipif(
    not PARROT.is_dir(), reason="the examples are not beside the tests"
)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs one package for this process."""
    with on_path(monkeypatch, tmp_path / "site") as site:

        def add(name: str, **parts: str) -> None:
            distribution(site, name, **parts)
            forget()

        yield add


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def registry(text: str, *, read: bool = True) -> Registry:
    settings = understood(text, Path("config.toml"), {}).settings
    made = Registry.build(settings, Keys({}), {})
    if read:
        made.read_plugins()
    return made


def doctor(home: Path) -> list[str]:
    done = CliRunner().invoke(command_line(), ["doctor"], env={"ROUNDHOUSE_HOME": str(home)})
    return done.output.splitlines()


def about(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if name in line]


def test_looking_for_packages_imports_none(install: Install) -> None:
    install("quiet", module=BROKEN, wires="quiet = quiet", providers="quiet = quiet:Q")

    assert plugins.names("wire") >= {"quiet"}
    assert plugins.names("provider") >= {"quiet"}
    registry("[providers.quiet]", read=False)
    assert "quiet" not in sys.modules


def test_a_server_whose_configuration_names_no_package_looks_for_none(home: Path) -> None:
    forget()
    write_config(home, scripted("one"))

    build(Home(home), environ={})

    assert plugins.installed.cache_info().misses == 0


def test_a_name_of_ours_is_never_a_packages(install: Install, home: Path) -> None:
    install("greedy", wires="openai_chat = strange:wire", providers="openai = strange:Strange")
    write_config(home)

    lines = about(doctor(home), "greedy")

    assert wire.chat_wire("openai_chat") is sys.modules[f"{wire.WIRES}.openai_chat"]
    assert registry("[providers.openai]").named("openai").provider.plugin is None
    assert [line.split(": ", 1)[1] for line in lines] == [
        "wire openai_chat of greedy 1.0: Roundhouse has a wire of that name itself",
        "provider openai of greedy 1.0: Roundhouse has a provider of that name itself",
    ]


def test_a_name_two_packages_bring_is_neithers(install: Install) -> None:
    install("first", providers=STRANGE)
    install("second", providers=STRANGE)

    reason, detail = registry("[providers.strange]").named("strange").absent()

    assert reason == "disabled"
    assert detail.endswith("brings one of that name, too")


def test_metadata_nobody_can_read_hides_only_packages(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("spoilt", wires="strange = strange:wire")
    (tmp_path / "site" / "spoilt-1.0.dist-info" / "entry_points.txt").write_bytes(b"[\xff]\n=")
    forget()

    assert plugins.names("wire") == frozenset()
    assert wire.chat_wire("ollama").FRAMING == "ndjson"
    assert "installed packages cannot be listed" in caplog.text


@pytest.mark.parametrize(
    ("entry", "module", "said"),
    [
        ("flawed:Absent", "", "importing it failed (AttributeError)"),
        ("nowhere:Thing", "", "there is no module nowhere"),
        ("flawed:Thing", BROKEN, "importing it failed (RuntimeError)"),
        ("flawed:Thing", "import sys; sys.exit(3)", "importing it failed (SystemExit)"),
        ("flawed:Thing", "Thing = 5", "it cannot be called"),
        ("flawed:Thing", "class Thing: pass", "it has no ROW"),
        ("flawed:Thing", LOOKLESS, "looking at it failed (ZeroDivisionError)"),
        ("strange:Mute", "", "it has no stream and no embed and no health"),
    ],
)
def test_a_broken_package_is_the_reason_of_its_provider(
    install: Install, home: Path, entry: str, module: str, said: str
) -> None:
    sys.modules.pop("flawed", None)
    install("flawed", providers=f"odd = {entry}", module=module or "x = 1")
    write_config(home, "[providers.odd]")

    (line,) = about(doctor(home), "is broken")

    assert line.split() == f"no odd is broken: the provider odd of flawed 1.0: {said}".split()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{'nonsense': 1}", "unexpected keyword argument 'nonsense'"),
        ("{'concurrency': 'many'}", "concurrency (int_parsing)"),
        ("{'capabilities': 5}", "not iterable"),
        ("{'models': {'m': {'context': 'long'}}}", "models.0.context (int_parsing)"),
        ("{'models': 7}", "AttributeError"),
    ],
)
def test_a_row_that_is_not_valid_says_where(install: Install, row: str, said: str) -> None:
    sys.modules.pop("rowed", None)
    install(
        "rowed",
        providers="odd = rowed:Odd",
        module=f"class Odd:\n    ROW = {row}\n    " + "stream = embed = health = print\n",
    )

    _, detail = registry("[providers.odd]").named("odd").absent()

    assert "its ROW is not valid" in detail
    assert said in detail


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("half", "it has no decode and no decode_event"),
        ("unframed", "its FRAMING is not one of "),
        ("lost", "importing it failed (AttributeError)"),
    ],
)
def test_a_broken_wire_is_the_reason_of_the_rows_that_name_it(
    install: Install, name: str, said: str
) -> None:
    install("wires", wires="\n".join(f"{n} = strange:{n}" for n in ("half", "unframed", "lost")))
    config = f'[providers.birds]\nwire = "{name}"\nbase_url = "http://127.0.0.1:1"\n'

    _, detail = registry(config).named("birds").absent()

    assert detail.startswith(f"is broken: the wire {name} of wires 1.0: {said}")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[providers.nobody]\n", "or install the package that brings it"),
        ('[providers.x]\nwire = "strang"\nbase_url = "https://x/v1"\n', "did you mean 'strange'?"),
        ('[providers.x]\nlike = "strang"\n', "there is no provider 'strang' to copy"),
    ],
)
def test_a_package_that_is_not_there_is_a_mistake_in_the_file(
    install: Install, config: str, said: str
) -> None:
    install("stranger", wires="strange = strange:wire", providers=STRANGE)

    with pytest.raises(ConfigError) as caught:
        understood(config, Path("config.toml"), {})

    assert said in str(caught.value)


def test_only_the_user_says_that_code_is_local_or_keeps_nothing(install: Install) -> None:
    install("stranger", providers=STRANGE)

    claimed = registry("[providers.strange]").named("strange")
    allowed = registry('[providers.strange]\nlocal = true\nretention = "none"\n').named("strange")

    assert (claimed.provider.local, claimed.provider.retention) == (False, None)
    assert not claimed.is_here((), "answers")
    assert (allowed.provider.local, allowed.provider.retention) == (True, "none")
    assert allowed.is_here((), "answers")


def test_a_second_account_of_a_packages_provider_has_a_key_of_its_own(install: Install) -> None:
    install("stranger", providers=STRANGE)

    row = registry('[providers.work]\nlike = "strange"\n').named("work").provider

    assert (row.plugin, row.key_env) == ("strange", ("WORK_API_KEY",))


def test_a_row_with_a_wire_is_the_users_own_whatever_packages_there_are(install: Install) -> None:
    install("stranger", providers=STRANGE)
    config = '[providers.strange]\nwire = "openai_chat"\nbase_url = "https://mine.example/v1"\n'

    row = registry(config).named("strange").provider

    assert (row.plugin, row.wire) == (None, "openai_chat")


async def test_what_is_installed_gets_no_prompt_before_the_configuration_names_it(
    install: Install, home: Path
) -> None:
    install("stranger", providers=STRANGE)
    async with seated(home, scripted("one")) as seat:
        said = await seat.refused("complete", prompt="Hi", model="strange/answers")

    assert "to use it: roundhouse providers add strange" in said


def test_adding_it_takes_its_name_alone(install: Install, home: Path) -> None:
    install("stranger", providers=STRANGE)
    environ = {"ROUNDHOUSE_HOME": str(home)}
    before = about(doctor(home), "strange")
    done = CliRunner().invoke(command_line(), ["providers", "add", "strange"], env=environ)
    after = about(doctor(home), "strange")

    assert done.exit_code == 0, done.output
    assert before[0].endswith("to use it: roundhouse providers add strange")
    assert after[0].endswith("provider strange of stranger 1.0")
    assert after[1].split()[:2] == ["works", "strange"]


async def test_a_provider_in_code_is_tried_counted_and_left_like_any_other(
    install: Install, home: Path
) -> None:
    install("stranger", providers=STRANGE)
    config = (
        '[providers.strange]\nmodels = ["fails_midway", "answers"]\n',
        '[prices."strange/*"]\ninput = "1"\noutput = "1"\n',
        scripted("one", "text=All%20is%20well."),
        '[routing]\nchain = ["strange", "one"]\n',
    )
    async with seated(home, *config) as seat:
        said = await seat.said("complete", prompt="Hi")
        tried = seat.rows("SELECT provider, outcome FROM attempts ORDER BY n")

    assert said["text"] == "All is well."
    assert tried == [
        {"provider": "strange", "outcome": "garbled"},
        {"provider": "one", "outcome": "ok"},
    ]


async def test_a_key_of_a_packages_provider_is_never_shown(install: Install, home: Path) -> None:
    install(
        "keyed",
        providers="keyed = keyed:Keyed",
        module="import strange\n\n\nclass Keyed(strange.Strange):\n"
        "    ROW = {**strange.Strange.ROW, 'key_env': 'KEYED_API_KEY'}\n",
    )
    environ = {"KEYED_API_KEY": "sk-canary-0123456789"}
    async with seated(home, "[providers.keyed]", environ=environ) as seat:
        said = await seat.said("complete", prompt="Hi", model="keyed/answers")
        shown = seat.desk.redactor.text("the key is sk-canary-0123456789")

    assert said["text"] == "Hello"
    assert "sk-canary" not in shown


def test_a_wire_is_checked_for_what_it_is_used_for(install: Install) -> None:
    install("stranger", wires="strange = strange:wire\nhalf = strange:half")

    assert wire.chat_wire("strange").FRAMING == "ndjson"
    assert wire.embed_wire("strange")
    with pytest.raises(plugins.Broken, match="it has no decode"):
        wire.embed_wire("half")
    with pytest.raises(LookupError, match="there is no wire named nothing"):
        wire.chat_wire("nothing")


@asynccontextmanager
async def parroted(home: Path, site: Path, *config: str) -> AsyncGenerator[Seat]:
    """A client of the real server process, beside which the packages of `site` are installed."""
    write_config(home, *config)
    async with Client(launch(home, PYTHONPATH=str(site))) as client:
        yield Seat(client, home)


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder the example is installed into."""
    return built(PARROT, tmp_path_factory.mktemp("parrot"))


@needs_example
async def test_the_examples_provider_answers_through_a_real_server(
    parrot: Path, home: Path
) -> None:
    config = "[providers.parrot]\nlocal = true\n"
    with anyio.fail_after(30):
        async with parroted(home, parrot, config) as seat:
            answer = await seat.call("complete", prompt="Pretty Polly", privacy="local")
            ranked = await seat.said("embed", texts=["a b", "c"], model="parrot")
            health = await seat.said("provider_health", provider="parrot", probe=True)
            attempts = seat.rows("SELECT provider, model, outcome FROM attempts")

    assert text_of(answer).startswith("Pretty Polly")
    assert (ranked["count"], ranked["dimensions"]) == (2, 2)
    assert health["providers"][0]["provider"] == "parrot"
    assert [row["model"] for row in attempts] == ["grey", "feather"]
    assert {(row["provider"], row["outcome"]) for row in attempts} == {("parrot", "ok")}


@needs_example
async def test_the_examples_wire_speaks_through_a_real_server(parrot: Path, home: Path) -> None:
    async with upstream(parroting) as server:
        config = (
            f'[providers.birds]\nwire = "parrot"\nbase_url = "{server.url}"\nmodels = ["grey"]\n'
        )
        with anyio.fail_after(30):
            async with parroted(home, parrot, config) as seat:
                said = await seat.said("complete", prompt="Pretty Polly", max_tokens=9)

    assert (said["text"], said["finish_reason"]) == ("Pretty Polly", "stop")
    assert said["usage"] == {"input": 2, "output": 2}
    assert server.posts[0].path == "/v1/speak"
    assert server.posts[0].json == {"model": "grey", "hear": "Pretty Polly", "most_words": 9}


@needs_example
def test_the_examples_cases_run_beside_our_own(parrot: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(parrot), "ROUNDHOUSE_WIRE_CASES": str(PARROT)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "parrot"]

    done = subprocess.run(
        [*command, "tests/wires"],
        cwd=Path(__file__).parent.parent,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@needs_example
async def test_a_broken_package_leaves_the_server_and_its_stdout_alone(
    tmp_path: Path, home: Path
) -> None:
    site = distribution(tmp_path / "site", "flawed", providers="odd = flawed:Odd", module=BROKEN)
    with anyio.fail_after(30):
        async with parroted(home, site, scripted("one", "text=Well."), "[providers.odd]") as seat:
            answer = await seat.call("complete", prompt="Hi", model="one")
            route = await seat.said("route_for_task", prompt="Hi", model="odd/m")

    assert text_of(answer).startswith("Well.")
    assert "importing it failed (RuntimeError)" in str(route)


async def parroting(request: Request, send: Send) -> None:
    await send(head(200, {"content-type": "application/x-ndjson"}))
    words = request.json["hear"].split()
    for n, word in enumerate(words):
        await send(b'{"word": "%s"}\n' % (f" {word}" if n else word).encode())
    await send(b'{"end": "all said", "heard": %d, "said": %d}\n' % (len(words), len(words)))
