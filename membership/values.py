"""What the text of a setting stands for. Each raises ValueError with words for whoever wrote the text."""

import ipaddress
import os
import re
from collections.abc import Callable
from typing import TypeVar

from membership.access import check_url
from membership.names import is_name, parse_services
from membership.quantity import LONGEST, parse_duration

Word = TypeVar("Word", bound=str)


def choice(*values: Word) -> Callable[[str], Word]:
    """A parser for one of these words."""

    def parse(text: str) -> Word:
        for value in values:
            if value == text:
                return value
        raise ValueError(f"{text!r} is none of {', '.join(values)}")

    return parse


def parse_time(text: str) -> float:
    """The seconds of a duration that is no longer than `LONGEST`."""
    seconds = parse_duration(text)
    if seconds > LONGEST:
        raise ValueError(f"{text[:80]!r} is longer than {LONGEST / 3600:g}h")
    return seconds


def parse_positive_duration(text: str) -> float:
    seconds = parse_time(text)
    if seconds <= 0:
        raise ValueError(f"{text!r} is not longer than nothing")
    return seconds


def parse_service_list(text: str, namespace: str) -> tuple[str, ...]:
    """Names between commas, as they are; one without a namespace is taken to be in this one."""
    items = [item for item in text.split(",") if item.strip()]
    parse_services(items, namespace)  # says what is wrong; the session parses them again with the real namespace
    return tuple(item.strip() for item in items)


def parse_namespace(text: str) -> str | None:
    if not is_name(text):
        raise ValueError(f"{text!r} is not a namespace such as wso2")
    return text


def parse_url(text: str) -> str | None:
    check_url(text)
    return text


def parse_file(text: str) -> str | None:
    # A list of files is allowed for kubeconfigs only, and there in the variable that kubectl reads, not here.
    if not os.path.isfile(text):
        raise ValueError(f"{text!r} does not exist" if not os.path.exists(text) else f"{text!r} is not a file")
    return text


def parse_count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise ValueError(f"{text!r} is not a number of addresses, 1 or more")
    return int(text)


def parse_port(text: str) -> int | str:
    if re.fullmatch(r"[0-9]+", text):
        if not 1 <= int(text) <= 65535:
            raise ValueError(f"{text} is not a port between 1 and 65535")
        return int(text)
    if not is_name(text):
        raise ValueError(f"{text!r} is neither a port number nor the name of a port such as hazelcast")
    return text


def parse_cluster_name(text: str) -> str | None:
    if not text.isprintable() or text != text.strip() or not text:
        raise ValueError(f"{text!r} is not a name: spaces around it, or characters that cannot be printed")
    return text


def parse_version(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,3})(?:[.-].*)?)?", text)
    if match is None or int(match[1]) < 3:
        raise ValueError(f"{text!r} is not a version of Hazelcast, 3.0 or newer, such as 5.3")
    return int(match[1]), int(match[2] or 999)  # 4 alone: the newest of its line


def parse_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None
