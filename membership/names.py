"""Names of Services and namespaces, as users write them."""

import re
from collections.abc import Iterable

from membership.errors import SettingsError

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123 label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""

EVERY = "*"
"""In place of a Service's name: every Service of the namespace."""


def is_name(text: str) -> bool:
    """Whether this can be the name of a Service, a namespace or a port."""
    return _LABEL.fullmatch(text) is not None


def parse_services(services: Iterable[str], namespace: str) -> tuple[tuple[str, str], ...]:
    """`["is", "wso2/am"]` -> `(("default", "is"), ("wso2", "am"))`, each once, in the order given.

    `*` for a name is `EVERY` Service, and then no other of that namespace is named besides.

    Raises SettingsError naming every item that is no `service` or `namespace/service`.
    """
    if isinstance(services, str):
        services = services.split(",")
    problems, found = [], dict[tuple[str, str], None]()
    for item in services:
        written = item.strip()
        parts = written.split("/")
        if len(parts) > 2 or not all(map(is_name, parts[:-1])) or not (is_name(parts[-1]) or parts[-1] == EVERY):
            problems.append(f"service {written!r} is not a name such as is, or wso2/is")
            continue
        found[(parts[0], parts[1]) if len(parts) == 2 else (namespace, parts[0])] = None
    if not found and not problems:
        problems.append("no service is named: name at least one")
    if problems:
        raise SettingsError(problems)
    whole = {namespace for namespace, name in found if name == EVERY}
    return tuple((namespace, name) for namespace, name in found if name == EVERY or namespace not in whole)
