"""Which volumes the entrypoint of which WSO2 image copies over the product's home, and in which order.

Read from the images' own scripts at the newest tag of each version: wso2/docker-is, -apim, -ei (Micro Integrator too),
-sp and -open-banking. They copy at each start of the container, before the server starts, and never again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

FOLDER = "/home/wso2carbon"
"""Volumes and homes are in it."""
CONFIG, ARTIFACT, PATCH, SERVER = (f"wso2-{name}-volume" for name in ("config", "artifact", "patch", "server"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The image of one product and version."""

    product: str
    """`is-7.1`, as in `--product`; products that take no member list are among them."""
    home: str
    """The product's home, below FOLDER; of Open Banking 3.0 that of the Identity Server it is built on."""
    user: str = "802:802"
    """uid and gid that the entrypoint runs as: what is mounted must be readable for them."""
    volumes: tuple[str, ...] = (CONFIG, ARTIFACT)
    """Below FOLDER, in the order in which they are copied: a later one wins."""
    note: str = ""

    @property
    def copies(self) -> tuple[tuple[str, str], ...]:
        """Source and target of each copy, in order, as absolute paths that end in `/`."""
        return tuple((f"{FOLDER}/{volume}/", f"{FOLDER}/{self.home}/") for volume in self.volumes)


_ANY = Image(product="", home="")
_APIM_10001 = replace(_ANY, user="10001:10001")
_OLDER = f"older tags of the image: {SERVER}"
_EACH = "also -acp, -tm and -universal-gw, each with a home of its own"

_TABLE: tuple[tuple[str, str, Image, tuple[str, ...]], ...] = (
    ("is", "wso2is-{}.1", _ANY, ("5.4",)),
    ("is", "wso2is-{}.0", _ANY, ("5.5",)),
    ("is", "wso2is-{}.0", replace(_ANY, note=_OLDER), ("5.6",)),
    ("is", "wso2is-{}.0", _ANY, ("5.7", "5.8", "5.9", "5.10", "5.11", "6.0", "6.1", "7.0", "7.1", "7.2", "7.3")),
    ("ei", "wso2ei-{}.0", _ANY, ("6.2",)),
    ("ei", "wso2ei-{}.0", replace(_ANY, note=_OLDER), ("6.3",)),
    ("ei", "wso2ei-{}.0", _ANY, ("6.4", "6.5", "6.6")),
    ("am", "wso2am-{}.0", _ANY, ("2.1", "2.2")),
    ("am", "wso2am-{}.0", replace(_ANY, note=_OLDER), ("2.5",)),
    ("am", "wso2am-{}.0", _ANY, ("2.6", "3.0")),
    ("am", "wso2am-{}.0", replace(_ANY, volumes=(CONFIG, ARTIFACT, PATCH), note=f"not on rocky: no {PATCH}"), ("3.1",)),
    ("am", "wso2am-{}.0", _ANY, ("3.2", "4.0", "4.1", "4.2")),
    ("am", "wso2am-{}.0", _APIM_10001, ("4.3", "4.4")),
    ("am", "wso2am-{}.0", replace(_APIM_10001, note=_EACH), ("4.5", "4.6", "4.7")),
    ("ob", "wso2-obkm-{}.0", _ANY, ("1.5",)),
    ("ob", "wso2-obiam-{}.0", _ANY, ("2.0",)),
    ("ob", "wso2is-VERSION", _ANY, ("3.0",)),
    ("mi", "wso2mi-{}.0", replace(_ANY, volumes=(CONFIG,)), ("4.0", "4.1", "4.2", "4.3")),
    ("mi", "wso2mi-{}.0", replace(_ANY, volumes=(CONFIG,), user="10802:10802"), ("4.4", "4.5", "4.6")),
    # Neither follows links, so that a ConfigMap mounted there arrives as links to nowhere, nor takes an empty volume.
    ("sp", "wso2sp-{}.0", replace(_ANY, volumes=(SERVER,), note="cp -r: no ConfigMap, and not empty"), ("4.2",)),
    ("sp", "wso2sp-{}.0", _ANY, ("4.3", "4.4")),
)
"""Family, home by version, what the versions share, versions."""

IMAGES: Mapping[str, Image] = {
    f"{family}-{version}": replace(shared, product=f"{family}-{version}", home=home.format(version))
    for family, home, shared, versions in _TABLE
    for version in versions
}
"""By product. Those that are not there have no image whose entrypoint is known: Identity Server to 5.3, for one."""
