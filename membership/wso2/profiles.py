"""Which file of which WSO2 product takes members, on which port, and which Hazelcast reads them.

Read from the products' sources: the kernel at each product's tag, Hazelcast's version at each kernel's. Ports are those
of the official charts and images, for a pod must find the members that are already there: 4000 is the kernel's default,
4001 the Identity Server 7 chart's, 4100 that of Enterprise Integrator's charts and images.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

OLD_AGENT = "org.wso2.carbon.core.clustering.hazelcast.HazelcastClusteringAgent"
NEW_AGENT = "org.wso2.carbon.hazelcast.HazelcastClusteringAgent"
FILES = {"deployment-toml": "deployment.toml", "axis2-xml": "axis2/axis2.xml", "hazelcast-xml": "etc/hazelcast.xml"}
"""By format, below the product's configuration folder."""
WHY_NOT = {
    "deployment-toml": "it has no deployment.toml that sets clustering",
    "axis2-xml": "its axis2.xml is made anew from deployment.toml at each boot, so what is written there is lost",
    "hazelcast-xml": "its kernel reads no etc/hazelcast.xml (4.4.6 was the first that does)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One product and version."""

    product: str
    """`is-7.1`, as in `--product`."""
    name: str
    """`Identity Server 7.1`."""
    kernel: str | None
    """None, as below: that of the product it is based on."""
    hazelcast: str | None
    """The version in the released pack, from which an updated image may have moved on."""
    format: str
    """The one of its files to patch: deployment-toml or axis2-xml."""
    port: int = 4000
    conf: str = "repository/conf"
    agent: str | None = OLD_AGENT
    """The clustering class in axis2.xml."""
    takes_hazelcast_xml: bool = True

    def path(self, format: str) -> str | None:
        """Where the product reads this format, below its home and below the volume that is copied over it."""
        return f"{self.conf}/{FILES[format]}" if self._takes(format) else None

    def why_not(self, format: str) -> str | None:
        """Why the product would not read a file of this format; None where it does, or the format is not WSO2's."""
        return WHY_NOT[format] if format in FILES and not self._takes(format) else None

    def _takes(self, format: str) -> bool:
        return format == self.format or (format == "hazelcast-xml" and self.takes_hazelcast_xml)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Products that a member list cannot help."""

    products: str
    """In words."""
    pattern: str
    """What `--product` looks like, as a regular expression."""
    reason: str
    instead: str


REFUSALS = (
    Refusal(
        "API Manager 4.2 and newer (am-4.2 ...)",
        r"am-(4\.([2-9]|\d\d+)|[5-9]|\d\d+)(\..*)?",
        "its pack has no Hazelcast, so a membership scheme can only make its start fail",
        "leave [clustering] out of deployment.toml; its nodes share databases and the traffic managers' events",
    ),
    Refusal(
        "Micro Integrator (mi-...)",
        r"mi-.*",
        "it does not use Hazelcast",
        "set [cluster_config] node_id in deployment.toml and the datasource WSO2_COORDINATION_DB",
    ),
    Refusal(
        "Stream Processor (sp-...)",
        r"sp-.*",
        "it does not use Hazelcast",
        "set cluster.config in deployment.yaml (RDBMSCoordinationStrategy); its list of managers can be made with the "
        "format template",
    ),
)

FAMILIES = {"is": "Identity Server", "ei": "Enterprise Integrator", "am": "API Manager", "ob": "Open Banking"}
ALIASES = {"apim": "am", "wso2is": "is", "wso2ei": "ei", "wso2am": "am"}


_AXIS2 = Profile(product="", name="", kernel=None, hazelcast="3.5.4", format="axis2-xml")
_TOML = replace(_AXIS2, hazelcast="3.12.2", format="deployment-toml")
_EI = replace(_AXIS2, port=4100, conf="conf")
_IS_7 = replace(_TOML, hazelcast="5.3.6", port=4001, agent=NEW_AGENT)

_TABLE: tuple[tuple[str, Profile, Mapping[str, str | None]], ...] = (
    ("is", replace(_AXIS2, hazelcast="3.5.2", takes_hazelcast_xml=False), {"5.1": "4.4.3"}),
    # 5.2 to 5.6 lie between two rows that were read, on the same kernel line.
    ("is", _AXIS2, dict.fromkeys(("5.2", "5.3", "5.4", "5.5", "5.6"), "4.4") | {"5.7": "4.4.35", "5.8": "4.4.40"}),
    ("is", _TOML, {"5.9": "4.5.1", "5.10": "4.6.0", "5.11": "4.6.1"}),
    ("is", replace(_TOML, hazelcast="4.2.5"), {"6.0": "4.7.1"}),
    ("is", replace(_TOML, hazelcast="4.2.6"), {"6.1": "4.9.0"}),
    ("is", _IS_7, {"7.0": "4.10.9", "7.1": "4.10.42", "7.2": "4.10.101", "7.3": "4.12.34"}),
    ("ei", _EI, dict.fromkeys(("6.2", "6.3", "6.4", "6.5"), "4.4")),
    ("ei", replace(_EI, hazelcast="3.12.2"), {"6.6": "4.5.3"}),
    ("am", _AXIS2, dict.fromkeys(("2.0", "2.1", "2.2", "2.5", "2.6"), "4.4")),
    ("am", _TOML, {"3.0": "4.5.1", "3.1": "4.6.0", "3.2": "4.6.0", "4.0": "4.6.2", "4.1": "4.6.3"}),
    ("ob", _AXIS2, {"1.5": None}),
    ("ob", _TOML, {"2.0": None}),
    ("ob", replace(_TOML, hazelcast=None, agent=None), {"3.0": None, "4.0": None}),
)
"""Family, what its versions share, and their kernels."""

PROFILES = {
    f"{family}-{version}": replace(
        shared, product=f"{family}-{version}", name=f"{FAMILIES[family]} {version}", kernel=kernel
    )
    for family, shared, kernels in _TABLE
    for version, kernel in kernels.items()
}
"""By product, oldest first within each family."""


def find_profile(text: str) -> Profile:
    """The profile of `is-7.1`, `is-7.1.0` or `apim-4.1`; raises ValueError that says why there is none."""
    family, dash, version = text.strip().lower().partition("-")
    product = f"{ALIASES.get(family, family)}{dash}{version}"
    for refusal in REFUSALS:
        if re.fullmatch(refusal.pattern, product):
            raise ValueError(f"{text!r}: {refusal.reason}; instead: {refusal.instead}")
    numbers = re.fullmatch(r"([a-z]+-\d+)(?:\.(\d+)(?:\.\d+)*)?", product)
    profile = PROFILES.get(f"{numbers[1]}.{numbers[2] or 0}") if numbers else None
    if profile is None:
        raise ValueError(f"{text!r} is not known; known are {', '.join(PROFILES)}")
    return profile
