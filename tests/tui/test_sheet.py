"""The style sheet is parsed anew only for other colours."""

from textual.color import Color

from roundhouse_mcp.tui.sheet import Sheet


def test_the_same_colours_keep_what_was_parsed_and_others_do_not() -> None:
    sheet = Sheet({"ink": "red"})
    sheet.add_source("Label { color: $ink; }", read_from=("here", ""))
    before = sheet.rules[0]

    sheet.set_variables({"ink": "red"})
    sheet.reparse()
    kept = sheet.rules[0]
    sheet.set_variables({"ink": "blue"})
    sheet.reparse()

    assert kept is before
    assert sheet.rules[0].styles.color == Color.parse("blue")
