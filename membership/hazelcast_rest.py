"""One Hazelcast member, by REST on its member port: its own view, its list, and the list that it is given.

`/hazelcast/health/ready` is always asked first: only a ready member has a view, and only a ready one takes a list. Then
`/hazelcast/rest/cluster` (JSON from 4.x and 5.x, text from 3.12) or the list of its tcp-ip join (from 5.2). What comes
back is measured in shared/hazelcast.md, sections 1 and 2.

A member with REST off, or one group of it, closes the connection without an HTTP answer; some versions log a stack
trace each time, so whoever asks must not go on.
"""

import re
import time
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from membership.errors import ApiError, BadAnswer, Silent, Unreachable
from membership.push import Answer, is_same, make_entries
from membership.transport import Address, Exchange, Interrupt
from membership.verify import State, Target, View, endpoint_of

READY, CLUSTER = "/hazelcast/health/ready", "/hazelcast/rest/cluster"
MEMBER_LIST = "/hazelcast/rest/config/tcp-ip/member-list"
STATE = "/hazelcast/rest/management/cluster/state"
REST_LIMIT = 3.0
"""Seconds for all questions to one member; a live member answers within milliseconds."""
SIZE_LIMIT = 2**20
"""Bytes of an answer: some 6000 members."""

_OFF = "REST off: it closes the connection without an answer (REST, or its group {}, is not enabled)"
_NO_TIME = "no answer in time"
_JOINING = "it is joining: not ready by its own word"
_TEXT_HEAD = re.compile(r"Members \{size:(\d{1,9}), ver:\d+\} \[")
_TEXT_MEMBER = re.compile(r"^[ \t]*Member \[([^\]\s]+)\]:(\d{1,5}) - (\S+?)( this)?( lite)?[ \t\r]*$", re.MULTILINE)


class _Member(msgspec.Struct):
    address: str
    localMember: bool = False
    uuid: str | None = None
    memberVersion: str | None = None


class _Cluster(msgspec.Struct):
    members: list[_Member]


class _List(msgspec.Struct):
    entries: list[str] = msgspec.field(name="member-list", default_factory=list)


class _State(msgspec.Struct):
    status: str = ""


class _NoAnswer(Exception):
    """There is no answer to read; which state that stands for, and why in words."""

    def __init__(self, state: State, why: str) -> None:
        self.state: State = state
        self.why = why
        super().__init__(why)


def ask_rest(target: Target, interrupt: Interrupt) -> View:
    """One member's view by REST, within REST_LIMIT seconds; tripping `interrupt` ends it sooner."""
    talk = _Talk(target, interrupt)
    try:
        if not talk.is_ready():
            return View(target.name, "joining", why=_JOINING)
        return read_cluster(target.name, talk.get(CLUSTER, "CLUSTER_READ"))
    except _NoAnswer as error:
        return View(target.name, error.state, why=error.why)
    except BadAnswer as error:
        return View(target.name, "unknown", why=error.message)


def ask_list(target: Target, interrupt: Interrupt) -> Answer:
    """The list of this member's tcp-ip join, as long as `ask_rest`."""
    talk, hint = _Talk(target, interrupt), ""
    try:
        if not talk.is_ready():
            return Answer("joining", why=_JOINING)
        hint = "; before 5.2 Hazelcast does the same, for it has no such list"
        return Answer("ready", tuple(_read_list(talk.get(MEMBER_LIST, "CLUSTER_READ")).entries))
    except _NoAnswer as error:
        return Answer(error.state, why=error.why + (hint if error.state == "off" else ""))
    except BadAnswer as error:
        return Answer("unknown", why=error.message)


def give_list(target: Target, cluster: str, entries: Sequence[str], interrupt: Interrupt) -> Answer:
    """Give this member, and with it all members of its cluster, another list.

    Call it for a ready member only (`ask_list`). Raises ValueError for a list that Hazelcast would have to guess about.
    """
    if not entries or make_entries(entries) != tuple(entries):
        raise ValueError(f"no list to give: {entries!r}")
    # The second field is a password, which is not looked at but has to be there. A newline would be no separator.
    body = "&".join((_quote(cluster), "", ",".join(entries)))
    talk = _Talk(target, interrupt)
    try:
        status, content = talk.ask("POST", MEMBER_LIST, "CLUSTER_WRITE", body.encode())
        if status == 403:
            return Answer("refused", why=f"it refuses the list: its cluster is not named {cluster!r} (--cluster-name)")
        if status != 200:
            raise BadAnswer(f"answers {status} to a list: {content[:200].decode('utf-8', 'replace')}")
        found = _read_list(content)
        if not is_same(entries, found.entries):
            raise BadAnswer(f"was given {len(entries)} members, and has {', '.join(found.entries)[:200] or 'none'}")
        return Answer("ready", tuple(found.entries), given=True)
    except _NoAnswer as error:
        return Answer(error.state, why=error.why)
    except BadAnswer as error:
        return Answer("unknown", why=error.message)


def ask_name(target: Target, cluster: str, interrupt: Interrupt) -> bool | None:
    """Whether this member belongs to the cluster of this name; None where it does not say.

    It is asked for the cluster's state, which changes nothing, is in the group CLUSTER_READ, and is told to those only
    who know the name. 3.12 answers 200 and "forbidden", 4 and newer 403.
    """
    try:
        status, content = _Talk(target, interrupt).ask("POST", STATE, "CLUSTER_READ", f"{_quote(cluster)}&".encode())
        answer = msgspec.json.decode(content, type=_State).status
    except (_NoAnswer, BadAnswer, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if status == 403 or answer == "forbidden":
        return False
    return True if status == 200 and answer == "success" else None


def _quote(name: str) -> str:
    """5.3.6 decodes the name twice (measured). Most names come out the same by one time or two; where one would not, it
    is quoted twice."""
    quoted = quote(name, safe="")
    return quote(quoted, safe="") if set("+%") & set(name) else quoted


class _Talk:
    """Questions to one member, REST_LIMIT seconds in all. Raises _NoAnswer and BadAnswer only."""

    def __init__(self, target: Target, interrupt: Interrupt) -> None:
        self._target = target
        self._interrupt = interrupt
        self._deadline = time.monotonic() + REST_LIMIT

    def is_ready(self) -> bool:
        status, _ = self.ask("GET", READY, "HEALTH_CHECK")
        if status not in (200, 503):
            raise BadAnswer(f"answers {status} to {READY}: is this Hazelcast's member port?")
        return status == 200

    def get(self, path: str, group: str) -> bytes:
        status, body = self.ask("GET", path, group)
        if status != 200:
            raise BadAnswer(f"answers {status} to {path}: is this Hazelcast's member port?")
        return body

    def ask(self, method: str, path: str, group: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body; `group` is the one of Hazelcast's REST that the path belongs to."""
        exchange = Exchange(Address(self._target.host, self._target.port), self._interrupt)
        try:
            exchange.request(method, path, {"Connection": "close"}, body, self._deadline)
            return exchange.response.status, exchange.read_all(self._deadline, SIZE_LIMIT)
        except ApiError as error:
            raise _explain(error, exchange, group) from error
        finally:
            exchange.close()


def read_cluster(asked: str, body: bytes) -> View:
    """The answer of /hazelcast/rest/cluster. Raises BadAnswer where it is not what a member says."""
    members = _read_json(body) if body.lstrip()[:1] == b"{" else _read_text(body)
    if not members:
        raise BadAnswer(f"{CLUSTER} names no members")
    own = next((member for member in members if member.localMember), None)
    if own is None:
        return View(asked, "ready", tuple(member.address for member in members))
    names = tuple(member.address for member in members)
    return View(asked, "ready", names, own.address, uuid=own.uuid, version=own.memberVersion)


def _read_json(body: bytes) -> list[_Member]:
    try:
        members = msgspec.json.decode(body, type=_Cluster).members
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"{CLUSTER} answers what is no member list: {error}") from error
    return [_normalise(member) for member in members]


def _normalise(member: _Member) -> _Member:
    """`[10.0.0.1]:4000`, as Hazelcast writes IPv4 too, as `10.0.0.1:4000`."""
    match = re.fullmatch(r"\[([^\]\s]+)\]:(\d{1,5})", member.address)
    if match is None:
        raise BadAnswer(f"{CLUSTER} names {member.address[:60]!r}, which is no address")
    return msgspec.structs.replace(member, address=endpoint_of(match[1], int(match[2])))


def _read_text(body: bytes) -> list[_Member]:
    text = body.decode("utf-8", "replace")
    head = _TEXT_HEAD.search(text)
    if head is None:
        raise BadAnswer(f"{CLUSTER} answers what is no member list: {text[:60]!r}")
    members = [
        _Member(endpoint_of(host, int(port)), bool(this), uuid)
        for host, port, uuid, this, _ in _TEXT_MEMBER.findall(text)
    ]
    if len(members) != int(head[1]):
        raise BadAnswer(f"{CLUSTER} says it has {head[1]} members and names {len(members)}")
    return members


def _read_list(body: bytes) -> _List:
    try:
        return msgspec.json.decode(body, type=_List)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"{MEMBER_LIST} answers what is no list: {body[:60]!r}") from error


def _explain(error: ApiError, exchange: Exchange, group: str) -> _NoAnswer:
    """Which state an error stands for, and why in words."""
    if isinstance(error, Silent):
        return _NoAnswer("silent", _NO_TIME)
    if isinstance(error, Unreachable) and not exchange.connected:
        return _NoAnswer("silent", error.message)
    if isinstance(error.__cause__, ConnectionError) and not exchange.answered:
        return _NoAnswer("off", _OFF.format(group))
    return _NoAnswer("unknown", error.message)
