"""Patches the `<clustering>` element of an axis2.xml.

One parameter stays on one line: entrypoints of WSO2's images replace `<parameter name="localMemberHost".*</parameter>`
with sed, which takes all that stands on the line. Values are ASCII, so they fit every encoding that expat reads.
"""

import re
from collections.abc import Sequence

from membership.errors import RenderError
from membership.render.setup import Source
from membership.wso2.clustering import Address, Clustering
from membership.wso2.splices import Splice, apply_splices, line_of
from membership.wso2.xml_spans import Element, attribute_value, parse_xml

EXPECTED = "expected an axis2.xml with one <clustering> element below its root"
STEP = b"    "
_REST_OF_LINE = re.compile(rb"[ \t]*(?:<!--(?:(?!-->).)*-->[ \t]*)*(?=\r?\n)")
"""Comments behind an element, where nothing else stands there."""

Splices = list[Splice[bytes]]


def patch_axis2_xml(source: Source, clustering: Clustering) -> bytes:
    """The patched bytes; the same bytes where all is set already. Raises RenderError with file and line."""
    patched = apply_splices(source.content, _Patch(source, clustering).splices())
    # The places come from our own search of the bytes: what it gets wrong must not reach a server.
    if _Patch(Source(source.name, patched), clustering).splices():
        raise RenderError("cannot be patched; please report this file", source.name)
    return patched


class _Patch:
    """What has to be changed in one file."""

    def __init__(self, source: Source, clustering: Clustering) -> None:
        self._name = source.name
        self._content = source.content
        self._clustering = clustering
        self._eol = b"\r\n" if re.match(rb"[^\n]*\r\n", source.content) else b"\n"
        self._element = self._find(parse_xml(source, EXPECTED))

    def splices(self) -> Splices:
        clustering = self._clustering
        wanted = {
            "membershipScheme": "wka",
            "domain": clustering.domain,
            "localMemberHost": clustering.local_host,
            "localMemberPort": str(clustering.local_port),
        }
        parameters = list(self._element.named("parameter"))
        splices, missing = self._enable(), list[bytes]()
        for name, value in wanted.items():
            if value is None:
                continue
            found = [parameter for parameter in parameters if parameter.attributes.get("name") == name]
            for parameter in found:  # Axis2 takes the last of several; so all say the same
                splices += self._set_text(parameter, value)
            if not found:
                missing.append(b'<parameter name="%s">%s</parameter>' % (name.encode(), _escape(value)))
        members = list(self._element.named("members"))
        if len(members) > 1:
            raise self._refuse("there are two <members>", members[1])
        splices += [splice for element in members for splice in self._set_members(element)]
        if not members:
            missing += [b"<members>", *(STEP + _member(address) for address in clustering.members), b"</members>"]
        return splices + self._add(self._element, parameters, missing)

    def _find(self, root: Element) -> Element:
        found = list(root.named("clustering"))
        if not found:
            raise self._refuse("there is no <clustering> element", root)
        if len(found) > 1:
            raise self._refuse("there are two <clustering> elements", found[1])
        return found[0]

    def _enable(self) -> Splices:
        if self._element.attributes.get("enable") == "true":
            return []
        place = attribute_value(self._content, self._element, "enable")
        if place:
            return [Splice(*place, b'"true"')]
        at = self._element.start + len("<clustering")
        return [Splice(at, at, b' enable="true"')]

    def _set_text(self, element: Element, value: str) -> Splices:
        if element.children:
            raise self._refuse(f"<{element.name}> holds elements where a text belongs", element)
        if element.text == value:
            return []
        text = _escape(value)
        if element.is_empty_tag:
            return [Splice(element.inner - 2, element.inner, b">%s</%s>" % (text, element.name.encode()))]
        comments = b"".join(self._content[start:end] for start, end in element.comments)
        return [Splice(element.inner, element.close, text + comments)]

    def _set_members(self, element: Element) -> Splices:
        old, new = list(element.named("member")), self._clustering.members
        splices: Splices = []
        for member, address in zip(old, new):  # the longer one's rest follows
            splices += self._set_member(member, address)
        for member in old[len(new) :]:
            splices.append(Splice(self._before_space(member.start), member.end, b""))
        return splices + self._add(element, old, [_member(address) for address in new[len(old) :]])

    def _set_member(self, member: Element, address: Address) -> Splices:
        hosts, ports = list(member.named("hostName")), list(member.named("port"))
        if len(hosts) == len(ports) == 1:
            return self._set_text(hosts[0], address.host) + self._set_text(ports[0], str(address.port))
        return [Splice(member.start, member.end, _member(address))]

    def _add(self, parent: Element, siblings: Sequence[Element], lines: Sequence[bytes]) -> Splices:
        """Each on a line of its own, below the last of `siblings` and the comments behind it."""
        if not lines:
            return []
        if siblings:
            last = siblings[-1]
            rest = _REST_OF_LINE.match(self._content, last.end)
            at = rest.end() if rest else last.end
            return [Splice(at, at, self._lines(self._indent(last), lines))]
        indent = self._indent(parent)
        text, close = self._lines(indent + STEP, lines), self._eol + indent
        if parent.is_empty_tag:
            return [Splice(parent.inner - 2, parent.inner, b">%s%s</%s>" % (text, close, parent.name.encode()))]
        alone = b"\n" not in self._content[parent.inner : parent.close]
        return [Splice(parent.inner, parent.inner, text + (close if alone else b""))]

    def _lines(self, indent: bytes, lines: Sequence[bytes]) -> bytes:
        return b"".join(self._eol + indent + line for line in lines)

    def _indent(self, element: Element) -> bytes:
        """The white space before it on its line, where nothing else is there."""
        begin = self._content.rfind(b"\n", 0, element.start) + 1
        space = self._before_space(element.start)
        return self._content[begin : element.start] if space < begin or not space else STEP

    def _before_space(self, at: int) -> int:
        return len(self._content[:at].rstrip(b" \t\r\n"))

    def _refuse(self, problem: str, element: Element) -> RenderError:
        return RenderError(f"{problem}; {EXPECTED}", self._name, line_of(self._content, element.start))


def _member(address: Address) -> bytes:
    return f"<member><hostName>{address.host}</hostName><port>{address.port}</port></member>".encode()


def _escape(value: str) -> bytes:
    from html import escape

    return escape(value, quote=False).encode("ascii", "xmlcharrefreplace")
