"""Where the elements of an XML document are, by byte.

expat of the standard library tells byte offsets. lxml tells lines only, costs 4 MiB, and both it and ElementTree would
write the document anew: quotes, attribute order, entities and the space between attributes would be theirs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from membership.errors import RenderError
from membership.render.setup import Source
from membership.wso2.splices import line_of

_START_TAG = re.compile(rb"<[^\s/>]+(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(rb"\s+([^\s=/>]+)\s*=\s*(\"[^\"]*\"|'[^']*')")


@dataclass(slots=True)
class Element:
    """`start` is at its "<", `inner` behind the start tag, `close` at the end tag, `end` behind it.

    Of `<a/>` the last three are the same.
    """

    name: str
    attributes: dict[str, str]
    start: int
    inner: int
    close: int = 0
    end: int = 0
    text: str = ""
    """Its own text, without that of its children."""
    children: list["Element"] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)
    """Where the comments and processing instructions directly in it are."""

    @property
    def is_empty_tag(self) -> bool:
        return self.inner == self.end

    def named(self, name: str) -> Iterator["Element"]:
        """The children of this name."""
        return (child for child in self.children if child.name == name)


def parse_xml(source: Source, expected: str) -> Element:
    """The root element. Raises RenderError with file and line; `expected` completes its message.

    Declarations in a DOCTYPE are refused: entities and default attributes would be in the document, but not in its
    bytes, and are how documents are made to grow without end.
    """
    from xml.parsers.expat import ExpatError, ParserCreate

    content, parents = source.content, list[Element]()
    parser = ParserCreate()
    root: list[Element] = []

    def refuse(problem: str) -> RenderError:
        return RenderError(f"{problem}; {expected}", source.name, parser.CurrentLineNumber)

    def begin(name: str, attributes: dict[str, str]) -> None:
        start = parser.CurrentByteIndex
        tag = _START_TAG.match(content, start)
        if tag is None:
            raise refuse(f"<{name}> is not written in ASCII")
        element = Element(name, attributes, start, tag.end())
        (parents[-1].children if parents else root).append(element)
        parents.append(element)

    def end(name: str) -> None:
        element = parents.pop()
        if content[element.inner - 2 : element.inner] == b"/>":
            element.close = element.end = element.inner
        else:
            element.close = parser.CurrentByteIndex
            element.end = content.index(b">", element.close) + 1

    def text(data: str) -> None:
        parents[-1].text += data

    def comment(data: str) -> None:
        if parents:
            start = parser.CurrentByteIndex
            parents[-1].comments.append((start, content.index(b"-->", start) + 3))

    def instruction(target: str, data: str) -> None:
        if parents:
            start = parser.CurrentByteIndex
            parents[-1].comments.append((start, content.index(b"?>", start) + 2))

    def doctype(name: str, system: str | None, public: str | None, has_internal_subset: bool) -> None:
        if has_internal_subset:
            raise refuse("its DOCTYPE has declarations (entities, default attributes), which are refused")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.CommentHandler = text, comment
    parser.StartDoctypeDeclHandler, parser.ProcessingInstructionHandler = doctype, instruction
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise RenderError(f"it is UTF-16; {expected} in UTF-8", source.name, 1)
        parser.Parse(content, True)
    except ExpatError as error:
        raise _explain(str(error), error.lineno, source, expected) from error
    except (LookupError, ValueError) as error:  # encodings that Python or expat does not know
        raise refuse(f"not readable: {error}") from error
    return root[0]


def attribute_value(content: bytes, element: Element, name: str) -> tuple[int, int] | None:
    """Where the attribute's value is, with its quotes; None where the start tag does not have it."""
    at = element.start + 1 + len(element.name.encode())
    while match := _ATTRIBUTE.match(content, at, element.inner):
        if match[1] == name.encode():
            return match.span(2)
        at = match.end()
    return None


def _explain(problem: str, line: int, source: Source, expected: str) -> RenderError:
    try:
        source.content.decode()
    except UnicodeDecodeError as error:
        if line_of(source.content, error.start) == line:
            return RenderError(f"not UTF-8, and no other encoding is declared; {expected}", source.name, line)
    return RenderError(f"not XML: {problem.partition(':')[0]}; {expected}", source.name, line)
