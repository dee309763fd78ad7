"""A part of a Markdown document that a command writes, between two marks, so that no figure is typed by hand."""

from pathlib import Path


def update(path: Path, name: str, text: str) -> None:
    """Put text between `<!-- name -->` and `<!-- /name -->`, in place of what is there.

    Raises ValueError where the document does not have each mark once.
    """
    document = path.read_text(encoding="utf-8")
    opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
    if document.count(opening) != 1 or document.count(closing) != 1:
        raise ValueError(f"{path}: expected {opening} and {closing} once each; put them where the text is to go")
    before, rest = document.split(opening)
    after = rest.split(closing)[1]
    path.write_text(f"{before}{opening}\n{text.strip()}\n{closing}{after}", encoding="utf-8")
