"""What a format may need besides the list: who we are, and the file it starts from."""

from dataclasses import dataclass
from typing import Literal

from membership.errors import RenderError
from membership.model import ServiceDefinition, Snapshot

DEFAULT_CLUSTER_NAME = "wso2.carbon.domain"
"""Carbon's own default of `clustering.domain`."""


Rest = Literal["off", "read", "write"]
"""What Hazelcast's REST on the member port opens: nothing; HEALTH_CHECK and CLUSTER_READ; CLUSTER_WRITE as well."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read, and the name it has in messages."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings of the Hazelcast and WSO2 formats, and `source` for formats that start from a file."""

    self_ip: str | None = None
    """A host name in a list of host names (`membership/static.py`)."""
    port: int | str = 4000
    """As in `--port`: a number, or the name of a slice port."""
    cluster_name: str | None = None
    """None: as the file has it."""
    hazelcast_version: tuple[int, int] | None = (5, 3)
    """None: not known, which only `hazelcast-xml` minds."""
    hazelcast_rest: Rest = "off"
    """For `hazelcast-xml`."""
    source: Source | None = None
    definitions: tuple[ServiceDefinition, ...] | None = None
    """What the Services of the list say of themselves, for `haproxy`; None: not known (yet)."""

    def own_port(self, snapshot: Snapshot) -> int:
        """The own member port. Raises RenderError where it is a name and the own member is not in the list (yet)."""
        if isinstance(self.port, int):
            return self.port
        for member in snapshot.members:
            if self.self_ip in member.addresses and member.port is not None:
                return member.port
        raise RenderError(
            f"the own port is not known: --port is the name {self.port!r}, and the list has no member with that port "
            f"at the own address {self.self_ip or '(no --self-ip)'}"
        )

    def required_source(self) -> Source:
        """Raises RenderError where there is none: a mistake of the caller."""
        if self.source is None:
            raise RenderError("this format starts from a file, and none was given")
        return self.source
