"""Patching axis2.xml: what is set, that nothing else changes, what is refused. lxml reads it as the second opinion."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from membership import RenderError
from membership.render import FORMATS, Setup, Source
from tests.unit.lists import member, snapshot
from tests.unit.wso2_files import AXIS2_EI, AXIS2_KERNEL_4_4

NAME = "/in/axis2.xml"
TWO = ("10.244.0.5", "10.244.0.6")
SET = ("membershipScheme", "localMemberHost", "localMemberPort")


def patch(
    text: str | bytes, *addresses: str, self_ip: str | None = "10.244.0.5", port: int | str = 4100, **more: Any
) -> str:
    """The patched text; patching it again must change nothing."""
    members = snapshot(*(member(address, port=4100) for address in addresses or TWO))

    def once(content: bytes) -> bytes:
        setup = Setup(self_ip=self_ip, port=port, source=Source(NAME, content), **more)
        patched = FORMATS["axis2-xml"].render(members, setup)
        assert patched is not None
        return patched

    first = once(text if isinstance(text, bytes) else text.encode())
    assert once(first) == first
    return first.decode()


def axis2(inner: str, attributes: str = 'enable="true"') -> str:
    return f"<axisconfig>\n  <clustering {attributes}>{inner}</clustering>\n</axisconfig>\n"


def one_line(address: str) -> str:
    return f"<member><hostName>{address}</hostName><port>4100</port></member>"


def test_the_kernels_file_keeps_all_but_the_values() -> None:
    expected = (
        AXIS2_KERNEL_4_4.replace("enable='false'", 'enable="true"')
        .replace(">multicast<", ">wka<")
        .replace('localMemberHost">127.0.0.1<', 'localMemberHost">10.244.0.5<')
        .replace('localMemberPort">4000<', 'localMemberPort">4100<')
        .replace("<hostName>127.0.0.1</hostName>", "<hostName>10.244.0.5</hostName>")
        .replace("<port>4000</port>", "<port>4100</port>")
        .replace(
            "            </member>\n        </members>",
            f"            </member>\n            {one_line('10.244.0.6')}\n        </members>",
        )
    )
    assert patch(AXIS2_KERNEL_4_4) == expected


def test_eis_file_gets_members_on_lines_of_their_own_and_keeps_the_old_scheme() -> None:
    last = '\t\t<parameter name="USE_DNS">false</parameter>\n'
    expected = (
        AXIS2_EI.replace(">kubernetes<", ">wka<")
        .replace('localMemberHost"></parameter>', 'localMemberHost">10.244.0.5</parameter>')
        .replace(
            last,
            f"{last}\t\t<members>\n\t\t    {one_line(TWO[0])}\n\t\t    {one_line(TWO[1])}\n\t\t</members>\n",
        )
    )
    assert patch(AXIS2_EI) == expected


def test_each_parameter_has_a_line_of_its_own_for_the_sed_of_wso2s_entrypoints() -> None:
    for text in (AXIS2_KERNEL_4_4, AXIS2_EI, axis2(""), axis2("\n    <members/>\n")):
        patched = patch(text)
        for line in patched.splitlines():
            assert line.count("<parameter") <= 1
        edited = re.sub(r'<parameter name="localMemberHost".*</parameter>', "HOST", patched)
        assert edited.count("HOST") == 1 + text.count("<!--<parameter") and "localMemberPort" in edited


def test_what_is_not_given_stays() -> None:
    patched = patch(AXIS2_KERNEL_4_4, self_ip=None)
    assert '"localMemberHost">127.0.0.1<' in patched and '"domain">wso2.carbon.domain<' in patched
    assert '"domain">a&lt;b&amp;&#233;<' in patch(AXIS2_KERNEL_4_4, cluster_name="a<b&é")


ADDED = """
          <parameter name="membershipScheme">wka</parameter>
          <parameter name="localMemberHost">10.244.0.5</parameter>
          <parameter name="localMemberPort">4100</parameter>
          <members>
              <member><hostName>10.244.0.5</hostName><port>4100</port></member>
              <member><hostName>10.244.0.6</hostName><port>4100</port></member>
          </members>
      """


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a>\n      <clustering/></a>", f'<a>\n      <clustering enable="true">{ADDED}</clustering></a>'),
        (
            "<a>\n      <clustering ></clustering></a>",
            f'<a>\n      <clustering enable="true" >{ADDED}</clustering></a>',
        ),
        ("<a><clustering a='b' /></a>", f"<a><clustering enable=\"true\" a='b' >{ADDED}</clustering></a>"),
    ],
)
def test_missing_elements_are_made(text: str, expected: str) -> None:
    wanted = expected if "\n      <clustering" in expected else re.sub(r"\n  ", "\n", expected)
    assert patch(text) == wanted


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<members></members>", f"<members>\n    {one_line(TWO[0])}\n    {one_line(TWO[1])}\n</members>"),
        (
            "\n    <members/>",
            f"\n    <members>\n        {one_line(TWO[0])}\n        {one_line(TWO[1])}\n    </members>",
        ),
        (
            "<members ><!-- none --></members>",
            f"<members >\n    {one_line(TWO[0])}\n    {one_line(TWO[1])}\n<!-- none --></members>",
        ),
        (
            "\n<members>\n\t<!-- a -->\n\t<member><hostName>a</hostName><port>1</port></member> <!-- b -->\n</members>",
            f"\n<members>\n\t<!-- a -->\n\t{one_line(TWO[0])} <!-- b -->\n\t{one_line(TWO[1])}\n</members>",
        ),
        (
            "<members><member/><member><port>1</port></member><member/> <member a='>'/><!-- c --></members>",
            f"<members>{one_line(TWO[0])}{one_line(TWO[1])}<!-- c --></members>",
        ),
        (
            "<members><member><hostName><![CDATA[10.244.0.5]]></hostName><port>4&#49;00</port></member></members>",
            "<members><member><hostName><![CDATA[10.244.0.5]]></hostName><port>4&#49;00</port></member>\n"
            f"    {one_line(TWO[1])}</members>",
        ),
    ],
)
def test_members_in_each_way_to_write_them(inner: str, expected: str) -> None:
    parameters = (
        '<parameter name="membershipScheme">wka</parameter>\n<parameter name="localMemberPort">4100</parameter>\n'
    )
    assert patch(axis2(parameters + inner), self_ip=None) == axis2(parameters + expected)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ('<parameter name="membershipScheme"/>', '<parameter name="membershipScheme">wka</parameter>'),
        (
            "<parameter locked='a>b' name = 'membershipScheme' />",
            "<parameter locked='a>b' name = 'membershipScheme' >wka</parameter>",
        ),
        (
            '<parameter name="membershipScheme"><!-- c --> x\n</parameter >',
            '<parameter name="membershipScheme">wka<!-- c --></parameter >',
        ),
        (
            '<parameter name="membershipScheme"><?keep me?>multicast<!-- and me --></parameter>',
            '<parameter name="membershipScheme">wka<?keep me?><!-- and me --></parameter>',
        ),
        (
            '<parameter name="membershipScheme"><![CDATA[x]]></parameter>',
            '<parameter name="membershipScheme">wka</parameter>',
        ),
        ('<parameter name="membershipScheme">a</parameter><parameter name="membershipScheme">b</parameter>',)
        + ('<parameter name="membershipScheme">wka</parameter>' * 2,),
    ],
)
def test_parameters_in_each_way_to_write_them(parameter: str, expected: str) -> None:
    rest = f'<parameter name="localMemberPort">4100</parameter><members>{one_line(TWO[0])}{one_line(TWO[1])}</members>'
    assert patch(axis2(parameter + rest), self_ip=None) == axis2(expected + rest)


def test_a_new_parameter_stands_below_the_comment_behind_the_last_one() -> None:
    text = axis2(
        '\r\n\t<parameter name="membershipScheme">wka</parameter> <!-- one --> <!-- two --> \r\n\t<members/>\r\n'
    )
    expected = '<!-- one --> <!-- two --> \r\n\t<parameter name="localMemberPort">4100</parameter>\r\n\t<members>'
    assert expected in patch(text.replace("<axisconfig>\n", "<axisconfig>\r\n"), self_ip=None)


def test_other_encodings_stay_as_they_are() -> None:
    declared = b"<?xml version='1.0' encoding='ISO-8859-1'?>\n<a><!-- \xe9 --><clustering enable='true'/></a>"
    setup = Setup(source=Source(NAME, declared), cluster_name="é", port=4000)
    patched = FORMATS["axis2-xml"].render(snapshot("10.0.0.1"), setup)
    assert patched is not None and patched.startswith(declared[: declared.index(b"/></a>")])
    assert etree.fromstring(patched).findtext(".//parameter[@name='domain']") == "é"
    assert patch("\ufeff<a><clustering/></a>").startswith('\ufeff<a><clustering enable="true">')


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"<a>\n\xff</a>", 2, "not UTF-8"),
        ("<a/>".encode("utf-16"), 1, "UTF-16"),
        (b"", 1, "not XML: no element found"),
        (b"<a>\n<b></a>", 2, "not XML: mismatched tag"),
        (b"[clustering]\n", 1, "not XML: syntax error"),
        (b"<?xml version='1.0' encoding='none'?>\n<a/>", 1, "not (readable|XML): unknown encoding"),
        (b"\n<a>\n</a>", 2, "there is no <clustering>"),
        (b"<a>\n<b><clustering/></b></a>", 1, "there is no <clustering>"),
        (b"<a><!-- <clustering/> -->\n</a>", 1, "there is no <clustering>"),
        (b"<a>\n<clustering/>\n<clustering/></a>", 3, "there are two <clustering>"),
        (b"<a>\n<clustering>\n<members/>\n<members/></clustering></a>", 4, "there are two <members>"),
        (b"<a><clustering>\n<parameter name='localMemberPort'><b/></parameter></clustering></a>", 2, "holds elements"),
        (b"<!DOCTYPE a [\n<!ENTITY x 'y'>]>\n<a><clustering/></a>", 1, "DOCTYPE"),
        (b"<!DOCTYPE a [\n<!ATTLIST clustering enable CDATA 'true'>]>\n<a><clustering/></a>", 1, "DOCTYPE"),
        (
            b"<!DOCTYPE a [\n<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<a><clustering>&x;</clustering></a>",
            1,
            "DOCTYPE",
        ),
    ],
)
def test_what_is_not_an_axis2_xml_is_refused_with_file_and_line(content: bytes, line: int, said: str) -> None:
    with pytest.raises(RenderError, match=said) as caught:
        patch(content)
    assert str(caught.value).startswith(f"{NAME}:{line}: ") and "expected an axis2.xml" in str(caught.value)
    assert (caught.value.source, caught.value.line) == (NAME, line)


def test_ipv6_alone_is_refused_and_an_empty_list_gives_nothing() -> None:
    with pytest.raises(RenderError, match="no member has an IPv4 address"):
        patch(AXIS2_EI, "fd00::1")
    with pytest.raises(RenderError, match="own address fd00::5"):
        patch(AXIS2_EI, self_ip="fd00::5")
    assert FORMATS["axis2-xml"].render(snapshot(), Setup(source=Source(NAME, b"<broken"))) is None


# -- properties: documents made of parts, of which we know which may change

TEXTS = {
    "membershipScheme": ("wka", "multicast", "<![CDATA[kubernetes]]>", "a&amp;b", ""),
    "localMemberHost": ("127.0.0.1", "10.244.0.5", "${carbon.host}", "\n  x\n"),
    "localMemberPort": ("4000", "4100", "$env{PORT}"),
}
PARTS = st.sampled_from(
    (
        "",
        "\n",
        "  \t\n",
        '<!-- <parameter name="membershipScheme">no</parameter> -->\n',
        "<?pi enable='false'?>",
        '<parameter name="mcastPort">45564</parameter>\n',
        '<parameter name="properties"><property name="a>b" value=\'"\'/></parameter>',
        '<parameter name="domain" locked="false">é &#169; <![CDATA[<members>]]></parameter>  \n',
        "text &lt;",
        '<groupManagement enable="false"><member/><parameter name="localMemberHost">no</parameter></groupManagement>',
    )
)
INSIDE = st.sampled_from(("", "\n", "<!-- members -->", " \t\n"))
OUTSIDE = st.sampled_from(
    (
        "",
        "<parameter name='localMemberHost'>no</parameter>\n",
        "<!-- <clustering enable='no'/> -->\n",
        "<transport><clustering enable='no'><members/></clustering></transport>\n",
        "<x a='1'  b = \"2\"/>",
    )
)
ADDRESSES = st.lists(st.integers(1, 250), min_size=1, max_size=5, unique=True).map(
    lambda numbers: tuple(f"10.244.0.{number}" for number in sorted(numbers))
)
OPEN = r"(?:(?!</parameter>).)*?"
MEMBER = r"\s*<member>\s*<hostName>[^<]*</hostName>\s*<port>[^<]*</port>\s*</member>"


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str]:
    """A document, and a pattern for it in which only what we set is left open."""
    enable = draw(st.sampled_from(('"true"', "'false'", '""')))
    parts = [draw(OUTSIDE), "<clustering a='enable=\"x\"' enable ="]
    text = "<axis>" + "".join(parts) + enable + " class='c'>"
    pattern = "<axis>" + re.escape("".join(parts)) + r"(?:'[^']*'|\"[^\"]*\") class='c'>"
    for name in draw(st.permutations(sorted(TEXTS))):
        before, after = draw(PARTS), draw(INSIDE)
        comment = draw(st.sampled_from(("", "<!-- why -->")))
        value = draw(st.sampled_from(TEXTS[name]))
        text += f"{before}<parameter  name='{name}'>{value}{comment}</parameter>{after}"
        pattern += re.escape(f"{before}<parameter  name='{name}'>") + OPEN + re.escape(f"{comment}</parameter>{after}")
    text, pattern = text + "<members>", pattern + "<members>"
    for number in range(draw(st.integers(0, 4))):
        comment, space = draw(st.sampled_from(("", "<!-- m -->"))), draw(st.sampled_from(("", "\n  ", "\t")))
        text += f"{comment}{space}<member><hostName>h{number}</hostName>{space}<port>1</port></member>"
        pattern += f"{re.escape(comment)}(?:{MEMBER})*" if comment else f"(?:{MEMBER})*"
    last, end = draw(INSIDE), "</members>" + draw(PARTS) + "</clustering >" + draw(OUTSIDE) + "</axis>"
    text += last + end  # new members stand behind a comment that is behind the last one
    pattern += rf"(?:{MEMBER})*\s*{re.escape(last.strip())}(?:{MEMBER})*\s*{re.escape(end)}"
    if draw(st.booleans()):
        text, pattern = text.replace("\n", "\r\n"), pattern.replace("\\\n", "\\\r\\\n")
    return text, pattern


@settings(max_examples=120, deadline=None)
@given(documents(), ADDRESSES)
def test_outside_of_the_values_every_byte_stays(document: tuple[str, str], addresses: tuple[str, ...]) -> None:
    text, pattern = document
    assert re.fullmatch(pattern, text, re.DOTALL)
    assert re.fullmatch(pattern, patch(text, *addresses), re.DOTALL)


def masked(text: str) -> bytes:
    """The document as lxml understands it, without what we set and without white space between members."""
    root = copy.deepcopy(etree.fromstring(text.encode()))
    clustering = root.find("clustering")
    assert clustering is not None
    clustering.set("enable", "masked")
    for parameter in clustering.findall("parameter"):
        if parameter.get("name") in SET:
            parameter.text = "masked"
            for comment in parameter:
                comment.tail = None
    members = clustering.find("members")
    assert members is not None
    members.text = None
    for child in members:
        child.tail = None
    for one in members.findall("member"):
        members.remove(one)
    return etree.tostring(root, method="c14n", with_comments=True)


@settings(max_examples=120, deadline=None)
@given(documents(), ADDRESSES)
def test_the_parsed_document_differs_in_the_named_places_only(
    document: tuple[str, str], addresses: tuple[str, ...]
) -> None:
    patched = patch(document[0], *addresses)
    assert masked(patched) == masked(document[0])
    clustering = etree.fromstring(patched.encode()).find("clustering")
    assert clustering is not None and clustering.get("enable") == "true"
    values = {one.get("name"): one.text for one in clustering.findall("parameter") if one.get("name") in SET}
    assert values == {"membershipScheme": "wka", "localMemberHost": "10.244.0.5", "localMemberPort": "4100"}
    found = [(one.findtext("hostName"), one.findtext("port")) for one in clustering.findall("members/member")]
    assert found == [(address, "4100") for address in addresses]
