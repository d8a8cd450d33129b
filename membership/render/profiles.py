"""The table of `membership profiles`; not a format of the list."""

from dataclasses import asdict

import msgspec

from membership.wso2.profiles import FILES, PROFILES, REFUSALS, Profile

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


def profiles_text() -> str:
    """For people."""
    head = ("PRODUCT", "KERNEL", "HAZELCAST", "PORT", "FORMAT", "PATH", "CLUSTERING CLASS")
    rows = [head, *(_row(profile) for profile in PROFILES.values())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    refused = [f"{refusal.products}: {refusal.reason}; instead: {refusal.instead}." for refusal in REFUSALS]
    return "\n".join((*lines, "", NOTES, "Not for a member list:", *refused, ""))


def profiles_json() -> str:
    """The same for programs: `{"profiles": [...], "refused": [...]}`."""
    content = {
        "profiles": [asdict(profile) | {"paths": _paths(profile)} for profile in PROFILES.values()],
        "refused": [asdict(refusal) for refusal in REFUSALS],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def _row(profile: Profile) -> tuple[str, ...]:
    path, port = profile.path(profile.format) or "", str(profile.port)
    kernel, hazelcast, agent = (fact or BASE for fact in (profile.kernel, profile.hazelcast, profile.agent))
    return profile.product, kernel, hazelcast, port, profile.format, path, agent


def _paths(profile: Profile) -> dict[str, str]:
    return {format: path for format in FILES if (path := profile.path(format))}
