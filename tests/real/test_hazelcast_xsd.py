"""hazelcast-xml against the schemas inside the real jars: every one they hold of the dialects that we write."""

import re
import zipfile
from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest
from lxml import etree

from membership.render import FORMATS, Rest, Setup
from membership.render.hazelcast_xml import REST_SINCE
from membership.static import list_names, parse_names
from testbed.members import VERSIONS, resolve
from tests.unit.lists import member, snapshot

OLDEST = (3, 5)
"""The Hazelcast of Identity Server 5.1."""
SCHEMA = re.compile(r"hazelcast-config-(\d+)\.(\d+)\.xsd")
LIST = snapshot("10.244.0.5", "10.244.0.6", member("fd00::7", port=4001))


@cache
def schemas(jar: str) -> dict[tuple[int, int], etree.XMLSchema]:
    """The schemas in the jar of this version, by the version they are of."""
    with zipfile.ZipFile(resolve(jar)) as archive:
        found = {name: match for name in archive.namelist() if (match := SCHEMA.fullmatch(name))}
        return {
            version: etree.XMLSchema(etree.fromstring(archive.read(name)))
            for name, match in found.items()
            if (version := (int(match[1]), int(match[2]))) >= OLDEST
        }


def documents(version: tuple[int, int]) -> Iterator[bytes]:
    """With and without what is optional."""
    rests: tuple[Rest, ...] = ("off", "read", "write") if version >= REST_SINCE else ("off",)
    lists = LIST, list_names(parse_names("is-0.is-hl.wso2.svc.cluster.local,is-1.is-hl:4001"), 4000)
    for self_ip, name, rest, list_ in product((None, "10.244.0.5", "fd00::7"), (None, "é <&> 'x'"), rests, lists):
        setup = Setup(self_ip, 4000, name, version, rest)
        document = FORMATS["hazelcast-xml"].render(list_, setup)
        assert document is not None
        yield document


@pytest.mark.parametrize("jar", VERSIONS)
def test_our_file_is_valid(jar: str) -> None:
    own = tuple(int(number) for number in jar.split(".")[:2])
    assert own in schemas(jar)
    for version, schema in schemas(jar).items():
        for document in documents(version):
            schema.assertValid(etree.fromstring(document))


@pytest.mark.parametrize(("jar", "other"), [("3.12.2", (5, 3)), ("4.2.6", (3, 12)), ("5.3.6", (3, 12))])
def test_the_other_dialect_is_not(jar: str, other: tuple[int, int]) -> None:
    newest = schemas(jar)[max(schemas(jar))]
    for document in documents(other):
        assert not newest.validate(etree.fromstring(document))
