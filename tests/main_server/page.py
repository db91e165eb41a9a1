"""A page as a tree that tests can look into, built with the standard library alone."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Self

from flask.testing import FlaskClient

_VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})
#: After these, what follows stands apart.
_BLOCKS = frozenset({"td", "th", "li", "p", "div", "dt", "dd", "summary", "option"})


class Element:
    """An element: its name, attributes, and in order its texts and children."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name, self.attributes = name, attributes
        self.content: list[Element | str] = []

    def all(self, name: str | None = None, **attributes: str) -> list["Element"]:
        """The elements in it, at any depth; ``class_`` means one of its classes."""
        return [each for each in self._walk() if each._is(name, attributes)]

    def one(self, name: str | None = None, **attributes: str) -> "Element":
        """The only such element."""
        (found,) = self.all(name, **attributes)
        return found

    @property
    def text(self) -> str:
        """All texts in it, with single blanks."""
        return " ".join("".join(self._texts()).split())

    def _walk(self) -> Iterator["Element"]:
        for each in self.content:
            if isinstance(each, Element):
                yield each
                yield from each._walk()

    def _texts(self) -> Iterator[str]:
        for each in self.content:
            if isinstance(each, str):
                yield each
            else:
                yield from each._texts()
                yield " " if each.name in _BLOCKS else ""

    def _is(self, name: str | None, attributes: dict[str, str]) -> bool:
        if name is not None and self.name != name:
            return False
        for key, value in attributes.items():
            told = self.attributes.get(key.rstrip("_").replace("_", "-"), None)
            if told is None or value not in (told.split() if key == "class_" else [told]):
                return False
        return True


class Page(HTMLParser):
    """A parsed page; its ``root`` holds all of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("page", {})
        self._open = [self.root]
        self.feed(text)
        assert self._open == [self.root], f"{self._open[-1].name} is not closed"

    @classmethod
    def of(cls, answer: object) -> Self:
        """The page that a call of the test client answered."""
        assert getattr(answer, "status_code", None) == 200, getattr(answer, "text", "")
        return cls(getattr(answer, "text", ""))

    def one(self, name: str | None = None, **attributes: str) -> Element:
        """The only such element of the page."""
        return self.root.one(name, **attributes)

    def all(self, name: str | None = None, **attributes: str) -> list[Element]:
        """Such elements of the page."""
        return self.root.all(name, **attributes)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self._open[-1].content.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self._open[-1].content.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)


def look(client: FlaskClient, query: str = "?task=digits", **headers: str) -> Page:
    """The control page."""
    return Page.of(client.get(f"/{query}", headers=headers))
