"""The table of `membership profiles`; not a format of the list."""

from dataclasses import asdict

import msgspec

from membership.wso2.profiles import FILES, PROFILES, REFUSALS, Profile
from membership.wso2.volumes import FOLDER, IMAGES, Image

BASE = "its base's"
"""Open Banking has kernel and Hazelcast of the Identity Server below it."""
NOTES = """\
The path is below the product's home, and below the volume that its entrypoint copies over it (wso2-artifact-volume).
HAZELCAST is the released pack's; an updated image may have another, which is the one in the name of the file
repository/components/plugins/hazelcast_VERSION.jar: --hazelcast-version. --port overrides the port.
hazelcast-xml, where a product takes it, goes to etc/hazelcast.xml beside those files and wins over members elsewhere,
which still must switch clustering on. Identity Server 6 and 7 read it only with
-Djavax.xml.transform.TransformerFactory=com.sun.org.apache.xalan.internal.xsltc.trax.TransformerFactoryImpl.
"""
COPIES = f"""\
What the entrypoints of WSO2's images copy at each start of the container, all below {FOLDER}.
Volumes in the order in which they are copied: a file in a later one wins. Of a disk mount a folder and not its root: a
copy fails at lost+found, and also where there are only names that begin with a dot.
"""


def profiles_text() -> str:
    """For people."""
    head = ("PRODUCT", "KERNEL", "HAZELCAST", "PORT", "FORMAT", "PATH", "CLUSTERING CLASS")
    profiles = _align(head, *(_row(profile) for profile in PROFILES.values()))
    refused = [f"{refusal.products}: {refusal.reason}; instead: {refusal.instead}." for refusal in REFUSALS]
    images = _align(("PRODUCT", "USER", "SOURCE", "TARGET", ""), *(_image_row(image) for image in IMAGES.values()))
    return "\n".join((*profiles, "", NOTES, "Not for a member list:", *refused, "", COPIES, *images, ""))


def profiles_json() -> str:
    """The same for programs: `{"profiles": [...], "refused": [...], "images": [...]}`."""
    content = {
        "profiles": [asdict(profile) | {"paths": _paths(profile)} for profile in PROFILES.values()],
        "refused": [asdict(refusal) for refusal in REFUSALS],
        "images": [asdict(image) | {"copies": _copies(image)} for image in IMAGES.values()],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def _align(*rows: tuple[str, ...]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _image_row(image: Image) -> tuple[str, ...]:
    return image.product, image.user, ", ".join(f"{name}/*" for name in image.volumes), f"{image.home}/", image.note


def _copies(image: Image) -> list[dict[str, str]]:
    return [{"source": source, "target": target} for source, target in image.copies]


def _row(profile: Profile) -> tuple[str, ...]:
    path, port = profile.path(profile.format) or "", str(profile.port)
    kernel, hazelcast, agent = (fact or BASE for fact in (profile.kernel, profile.hazelcast, profile.agent))
    return profile.product, kernel, hazelcast, port, profile.format, path, agent


def _paths(profile: Profile) -> dict[str, str]:
    return {format: path for format in FILES if (path := profile.path(format))}
