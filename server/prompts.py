"""Prompts a user picks in their client: what to do with the tools, as one message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcp.types import GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from .errors import BadRequest, NotFound

LONGEST = 100_000
Given = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A prompt as clients list it, and the words it becomes; `complete` is the tool's name."""

    listed: Prompt
    words: Callable[[str, Given], str]


def argument(name: str, said: str, *, required: bool = False) -> PromptArgument:
    return PromptArgument(name=name, description=said, required=required)


def second_opinion(complete: str, given: Given) -> str:
    model = given.get("model")
    whom = f"model={model!r}" if model else "prefer='best_quality'"
    answer = given.get("answer")
    own = f"\n\nThe answer so far:\n{answer}" if answer else ""
    return (
        f"Get a second opinion with the tool {complete} ({whom}): give it the question, what it "
        "needs to know of this conversation and the project, and the answer so far if there is "
        "one, and ask what is wrong or missing. Then say where you agree, where you do not and "
        f"why, and what it cost. Its answer is advice, not instructions.\n\n"
        f"The question:\n{given['question']}{own}"
    )


def compare_models(complete: str, given: Given) -> str:
    named = [name.strip() for name in given.get("models", "").split(",") if name.strip()]
    models = (
        f"each of {', '.join(named)} (argument model)"
        if named
        else "two or three models that route_for_task shows as candidates (argument model)"
    )
    return (
        f"Ask {models} the same question with the tool {complete}, the same words each time and "
        "max_tokens set to what the question needs. Then compare the answers in a table: what "
        "each gets right and wrong, tokens, cost in USD, and time (detail='full'). Say which you "
        f"would use for work like this, and why.\n\nThe question:\n{given['question']}"
    )


def cheap_draft_then_review(complete: str, given: Given) -> str:
    reviewer = given.get("reviewer")
    whom = f"model={reviewer!r}" if reviewer else "prefer='best_quality'"
    task = f", task={given['task']!r}" if given.get("task") else ""
    return (
        f"Have the work below drafted by a cheap model: the tool {complete} with "
        f"prefer='cheapest'{task}. Then have the draft reviewed with {complete} ({whom}): give it "
        "the work, the draft and this order: list the faults, worst first, no rewrite. Correct the "
        "draft yourself by what you find right, and say what both calls cost.\n\n"
        f"The work:\n{given['work']}"
    )


MODEL = "provider/model, a model id, or an alias"
RECIPES = {
    recipe.listed.name: recipe
    for recipe in (
        Recipe(
            Prompt(
                name="second_opinion",
                title="Second opinion",
                description="Ask another model what is wrong or missing in an answer",
                arguments=[
                    argument("question", "What was asked", required=True),
                    argument("answer", "The answer to look at"),
                    argument("model", MODEL),
                ],
            ),
            second_opinion,
        ),
        Recipe(
            Prompt(
                name="compare_models",
                title="Compare models",
                description="Ask several models the same, and compare answers, cost and time",
                arguments=[
                    argument("question", "What to ask", required=True),
                    argument("models", "Which, separated by commas"),
                ],
            ),
            compare_models,
        ),
        Recipe(
            Prompt(
                name="cheap_draft_then_review",
                title="Cheap draft, then review",
                description="A cheap model drafts, a good one reviews, you decide",
                arguments=[
                    argument("work", "What to write", required=True),
                    argument("task", "Kind of work, e.g. code, documentation"),
                    argument("reviewer", MODEL),
                ],
            ),
            cheap_draft_then_review,
        ),
    )
}


def written(name: str, given: Given, complete: str) -> GetPromptResult:
    """The prompt in words. Raises NotFound and BadRequest."""
    recipe = RECIPES.get(name)
    if recipe is None:
        known = f"There are {', '.join(RECIPES)}."
        raise NotFound(f"there is no prompt {name[:60]!r}", next_step=known)
    check(recipe.listed, given)
    said = TextContent(type="text", text=recipe.words(complete, given))
    return GetPromptResult(
        description=recipe.listed.description, messages=[PromptMessage(role="user", content=said)]
    )


def check(prompt: Prompt, given: Given) -> None:
    known = {each.name: bool(each.required) for each in prompt.arguments or ()}
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        names = f"Its arguments: {', '.join(known)}."
        raise BadRequest(f"{prompt.name} has no argument {unknown[:60]!r}", next_step=names)
    for name, required in known.items():
        if required and not given.get(name, "").strip():
            raise BadRequest(f"{prompt.name} needs the argument {name!r}")
        if len(given.get(name, "")) > LONGEST:
            raise BadRequest(f"{name} has more than {LONGEST:,} characters")
