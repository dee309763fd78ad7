"""A part of a Markdown document that a command writes, between two marks, so that no figure is typed by hand."""

from pathlib import Path


class Part:
    """What lies between `<!-- name -->` and `<!-- /name -->`.

    Made before the work whose figures go there: raises OSError, or ValueError unless the document has each mark once.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._marks = f"<!-- {name} -->", f"<!-- /{name} -->"
        document = path.read_text(encoding="utf-8")
        if not all(document.count(mark) == 1 for mark in self._marks):
            opening, closing = self._marks
            raise ValueError(f"{path}: expected {opening} and {closing} once each; put them where the text is to go")

    def write(self, text: str) -> None:
        """Put text in place of what is there."""
        opening, closing = self._marks
        before, rest = self._path.read_text(encoding="utf-8").split(opening)
        after = rest.split(closing)[1]
        self._path.write_text(f"{before}{opening}\n{text.strip()}\n{closing}{after}", encoding="utf-8")
