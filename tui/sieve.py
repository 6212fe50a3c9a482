"""The filter line: words that must occur, `!word` must not, `field:word` looks in one field."""

from collections.abc import Callable, Mapping

Keep = Callable[[Mapping[str, str]], bool]


def sieve(text: str) -> Keep:
    """A test of a row given as field -> text. Every word counts; case does not."""
    tests = [test_of(word) for word in text.casefold().split()]

    def keep(row: Mapping[str, str]) -> bool:
        return all(test(row) for test in tests)

    return keep


def test_of(word: str) -> Keep:
    if word.startswith("!") and len(word) > 1:
        unwanted = test_of(word[1:])
        return lambda row: not unwanted(row)
    name, colon, wanted = word.partition(":")
    if not colon:
        return lambda row: any(word in value.casefold() for value in row.values())

    def in_field(row: Mapping[str, str]) -> bool:
        if name not in row:
            return any(word in value.casefold() for value in row.values())
        return any(part in row[name].casefold() for part in wanted.split(",") if part)

    return in_field
