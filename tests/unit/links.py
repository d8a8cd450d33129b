"""Links of Markdown pages, and the anchors they may lead to, as GitHub reads them. Nobody is asked over the network."""

import re

_FENCED = re.compile(r"^( *)(```+|~~~+).*?^\1?\2 *$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}|\t).*\n)+")
_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_LINKS = (
    r"\]\(<?([^)\s>]*)>?(?:\s+\"[^\"]*\")?\)",  # of links and pictures
    r"^ {0,3}\[[^\]]+\]:\s+(\S+)",  # of definitions
    r"\b(?:href|src)=\"([^\"]*)\"",
    r"(?<![(\"\w])<?(https?://[^\s<>)|]+)",  # addresses that stand for themselves
)
_ELSEWHERE = re.compile(r"https://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}(?:/[\w./~%#?&=+:@!$*,;-]*[\w/])?")
_HERE = re.compile(r"http://(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/\S*)?")


def find_links(text: str) -> list[str]:
    """All targets on a page; what looks like a link in code is none."""
    prose = _SPAN.sub("", _INDENTED.sub("", _FENCED.sub("", text)))
    return [target for pattern in _LINKS for target in re.findall(pattern, prose, re.MULTILINE)]


def list_anchors(text: str) -> set[str]:
    """Those of a page's headings; of headings with the same words the later ones are numbered."""
    prose = _FENCED.sub("", text)
    anchors = set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", _SPAN.sub("", prose)))
    times: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} +(.*?)(?: +#+)? *$", prose, re.MULTILINE):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        times[anchor] = times.get(anchor, -1) + 1
        anchors.add(f"{anchor}-{times[anchor]}" if times[anchor] else anchor)
    return anchors


def leaves(target: str) -> bool:
    """Whether it leads out of the repository."""
    return re.match(r"[a-z][a-z0-9+.-]*:", target) is not None


def is_well_formed(target: str) -> bool:
    """Whether an address elsewhere is https with a host name and nothing that does not belong there; http is for the
    reader's own machine."""
    return bool(_ELSEWHERE.fullmatch(target) or _HERE.fullmatch(target))
