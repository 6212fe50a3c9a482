"""The style sheet, parsed once.

Textual parses all of it anew whenever a screen comes that it has not seen. What was parsed stays
true until the colours change.
"""

from textual.css.stylesheet import Stylesheet


class Sheet(Stylesheet):
    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._worn = dict(variables)

    def set_variables(self, variables: dict[str, str]) -> None:
        """New colours make what was parsed void; the same ones do not."""
        if variables != self._worn:
            self._worn = dict(variables)
            super().set_variables(variables)

    def reparse(self) -> None:
        """With what was parsed before. Raises StylesheetParseError, and then nothing changes."""
        self.parse()
