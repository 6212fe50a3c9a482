"""What a provider says it bills is what the ledger holds, through a whole call over real HTTP."""

import base64
import json
import ssl
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from seats import Seat, budget, seated
from upstream import Request, Send, Upstream, answer, upstream

from roundhouse_mcp.providers import price_updates
from roundhouse_mcp.providers.prices import FREE
from roundhouse_mcp.server.settings import Settings
from roundhouse_mcp.server.unledgered import is_free

pytestmark = pytest.mark.anyio
KEY = {"SHOP_KEY": "sk-test-0123456789"}
ATTEMPT = "SELECT cost_nano, cost_kind, price_source, reserved_nano FROM attempts"


def body(**usage: Any) -> str:
    said = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, **usage}
    choice = {"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}
    return json.dumps({"model": "m", "choices": [choice], "usage": said})


@asynccontextmanager
async def shop(
    home: Path, said: str, *more: str, row: str = "", like: str = "openrouter"
) -> AsyncGenerator[Seat]:
    """A seat at a server whose one provider always answers the same."""
    async with (
        upstream(answer(said)) as up,
        seated(home, billing(up, row, like), *more, environ=KEY) as seat,
    ):
        yield seat


def billing(up: Upstream, row: str, like: str) -> str:
    head = f'[providers.shop]\nlike = "{like}"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
    return f'{head}api_key = "${{SHOP_KEY}}"\n{row}\n'


PRICED = '[prices."shop/m"]\ninput = "1"\noutput = "1"\n'


async def test_a_named_bill_wins_over_what_the_price_list_says(tmp_path: Path) -> None:
    async with shop(tmp_path, body(cost=0.000_5), PRICED, budget("5.00")) as here:
        said = await here.said("complete", prompt="Hi")
        (attempt,) = here.rows(ATTEMPT)
        (window,) = here.rows("SELECT spent_nano, reserved_nano FROM budget_windows")

    assert said["cost_usd"] == 0.000_5
    assert (attempt["cost_nano"], attempt["cost_kind"]) == (500_000, "actual")
    assert attempt["price_source"] == "provider"
    assert (window["spent_nano"], window["reserved_nano"]) == (500_000, 0)


async def test_a_bill_above_what_was_held_is_recorded_as_it_is(tmp_path: Path) -> None:
    async with shop(tmp_path, body(cost=2.5), PRICED, budget("5.00")) as here:
        await here.said("complete", prompt="Hi", max_tokens=10)
        (window,) = here.rows("SELECT spent_nano FROM budget_windows")
        events = here.rows("SELECT kind, amount_nano FROM budget_events")

    assert window["spent_nano"] == 2_500_000_000
    assert events == [{"kind": "overrun", "amount_nano": 2_500_000_000}]


async def test_a_bill_for_what_should_be_free_counts_in_the_budget(tmp_path: Path) -> None:
    free = PRICED.replace('"1"', '"0"')
    async with shop(tmp_path, body(cost=0.01), free, budget("5.00")) as here:
        await here.said("complete", prompt="Hi")
        (window,) = here.rows("SELECT spent_nano FROM budget_windows")

    assert window["spent_nano"] == 10_000_000


async def test_a_model_without_a_known_price_is_priced_by_its_bill(tmp_path: Path) -> None:
    async with shop(tmp_path, body(cost=0.000_7)) as here:
        said = await here.said("complete", prompt="Hi")

    assert said["cost_usd"] == 0.000_7


async def test_without_a_bill_the_list_price_counts(tmp_path: Path) -> None:
    async with shop(tmp_path, body(), PRICED) as here:
        await here.said("complete", prompt="Hi")
        (attempt,) = here.rows(ATTEMPT)

    assert (attempt["cost_nano"], attempt["price_source"]) == (8_000, "config")


async def test_the_bills_of_all_batches_of_an_embedding_add_up(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 2, "total_tokens": 2, "cost": 0.000_000_1}
    vector = {"index": 0, "embedding": [0.5, 0.5]}
    one = json.dumps({"model": "m", "data": [vector], "usage": usage})
    row = 'embedding_model = "m"\n[providers.shop.facts.m]\nembeddings = true\n'
    async with shop(tmp_path, one, row=row) as here:
        await here.said("embed", texts=["one"])
        (attempt,) = here.rows(ATTEMPT)

    assert (attempt["cost_nano"], attempt["price_source"]) == (100, "provider")


async def test_the_price_table_is_fetched_only_where_the_user_asks(tmp_path: Path) -> None:
    asked = anyio.Event()

    async def gone(request: Request, send: Send) -> None:
        asked.set()
        await answer("gone", status=404)(request, send)

    async with shop(tmp_path, body()) as here:
        await here.said("complete", prompt="Hi")
        before = [each.name for each in threading.enumerate() if "prices" in each.name]
    async with upstream(gone, gets=True) as up:
        stop = price_updates.keep_updated(proxy=None, ca_file=None, url=f"{up.url}/prices.json")
        await asked.wait()
        stop()

    assert before == []
    assert [request.path for request in up.asked] == ["/v1/prices.json"]
    assert not Settings().price_updates.enabled


async def test_the_price_table_is_fetched_through_the_users_proxy(tmp_path: Path) -> None:
    row = {
        "id": "shop",
        "name": "Shop",
        "api_pattern": "shop",
        "models": [{"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": 3}}],
    }
    url = "http://prices.example/prices.json"
    async with upstream(answer(json.dumps([row])), gets=True) as up:
        updates = price_updates.updates(proxy=up.url.removesuffix("/v1"), ca_file=None, url=url)
        table = await anyio.to_thread.run_sync(updates.fetch)

    assert [request.path for request in up.asked] == [url]
    assert [each.id for each in table.providers] == ["shop"]
    assert table.from_auto_update


def test_the_price_table_is_fetched_under_the_users_certificates(tmp_path: Path) -> None:
    file = tmp_path / "own.pem"
    file.write_text("no certificate", "utf-8")

    with pytest.raises(ssl.SSLError):
        price_updates.updates(proxy=None, ca_file=file, url="https://127.0.0.1:9/").fetch()


async def test_a_server_passes_its_proxy_and_certificates_on_to_price_updates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, asked = dict[str, Any](), anyio.Event()

    def instead(**given: Any) -> None:
        said.update(given)
        asked.set()

    monkeypatch.setattr(price_updates, "keep_updated", instead)
    network = '[network]\nproxy = "http://127.0.0.1:9"\nca_file = "/nowhere.pem"\n'
    async with seated(tmp_path, "[price_updates]\nenabled = true\n", network):
        with anyio.fail_after(20):
            await asked.wait()

    assert said == {"proxy": "http://127.0.0.1:9", "ca_file": Path("/nowhere.pem")}


TIMED = '[prices."shop/m"]\nper_second = "0.001"\n'


async def test_machine_time_is_charged_by_the_second(tmp_path: Path) -> None:
    said = json.loads(body())
    said["usage"]["predict_time"] = 2.5
    row = 'wire = "openai_chat"'
    async with shop(tmp_path, json.dumps(said), TIMED, row=row, like="replicate") as here:
        await here.said("complete", prompt="Hi")
        (attempt,) = here.rows(ATTEMPT)

    assert (attempt["cost_nano"], attempt["cost_kind"]) == (2_500_000, "actual")
    assert attempt["reserved_nano"] == 600_000_000


IMAGES = '[prices."shop/m"]\nper_image = "0.002"\ninput = "1"\n'
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(32)).decode()


async def test_images_are_charged_by_the_piece_where_a_price_says_so(tmp_path: Path) -> None:
    said = {"prompt": "What?", "images": [f"data:image/png;base64,{PICTURE}"] * 2}
    row = "[providers.shop.facts.m]\nvision = true\n"
    async with shop(tmp_path, body(), IMAGES, budget("5"), row=row) as here:
        plan = await here.said("route_for_task", needs=["images"], model="shop/m")
        await here.said("complete", **said)
        (attempt,) = here.rows(ATTEMPT + " WHERE rates LIKE '%\"per_image\": 2000000%'")

    assert (attempt["cost_nano"], attempt["price_source"]) == (4_005_000, "config")
    assert attempt["reserved_nano"] == 4_000_000 + 1000 * (5 + 16 + 2 * 50_000)
    assert plan["candidates"][0]["max_cost_usd"] == 0.002


async def test_what_costs_by_request_or_time_is_not_free_without_the_ledger() -> None:
    for name in ("per_request", "per_second", "per_image"):
        assert not is_free(replace(FREE, **{name: 1}))
    assert is_free(FREE)
