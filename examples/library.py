"""Roundhouse from Python: every model of yours, with your budgets and your ledger, without MCP.

uv run python examples/library.py "Is 221 a prime number?"
"""

import sys

import anyio

from roundhouse_mcp.server import library

SHELF = ["How to bake bread", "Resetting a circuit breaker", "Alpine flowers"]


async def lines(question: str, model: str) -> list[str]:
    """An answer with its price, the nearest text to the question, and a refusal."""
    async with library.opened(client="example") as models:
        answer = await models.complete(question, model=model, max_tokens=200)
        cost = "price unknown" if answer.cost_usd is None else f"${answer.cost_usd:.6f}"
        found = await models.embed(SHELF, query="the circuit breaker tripped", model=model)
        try:
            await models.complete(question, model=model, privacy="secret")
            refusal = ""
        except library.Refused as refused:
            refusal = f"{refused.code}: {str(refused).splitlines()[0]}"
    return [
        f"{answer.provider}/{answer.model}: {answer.text} ({cost})",
        f"nearest: {found['ranking'][0]['text']}",
        refusal,
    ]


def main() -> None:
    question, *models = sys.argv[1:] or ["Is 221 a prime number?"]
    for line in anyio.run(lines, question, next(iter(models), "mock/echo")):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
