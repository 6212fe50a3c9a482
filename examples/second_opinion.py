"""Ask two models the same question through Roundhouse, and see what each answer cost.

    uv run python examples/second_opinion.py "Is 221 a prime number?" mock/first mock/second

Any MCP client works the same way: start `roundhouse serve`, call its tools.
"""

import sys

import anyio
from mcp import Client, StdioServerParameters

SERVER = StdioServerParameters(command="roundhouse", args=["serve", "--client", "example"])


async def opinions(question: str, models: list[str], server: StdioServerParameters) -> list[str]:
    """One line per model: its name, its answer, its price."""
    lines: list[str] = []
    async with Client(server) as client:
        for model in models:
            result = await client.call_tool("complete", {"prompt": question, "model": model})
            said = result.structured_content
            if result.is_error or said is None:
                lines.append(f"{model}: {result.content}")
                continue
            cost = "price unknown" if said["cost_usd"] is None else f"${said['cost_usd']:.6f}"
            lines.append(f"{said['provider']}/{said['model']}: {said['text']} ({cost})")
    return lines


def main() -> None:
    question, *models = sys.argv[1:] or ["Is 221 a prime number?"]
    for line in anyio.run(opinions, question, models or ["mock/first", "mock/second"], SERVER):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
