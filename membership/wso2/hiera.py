"""Hiera data of WSO2's Puppet modules: what their key `wso2::clustering` says in our words.

The key has two generations. puppet-modules 1.1.1 and older: `k8` with `k8_master`, `k8_namespace`, `k8_services`,
`k8_master_username` and `k8_master_password`. Later: `kubernetes` with `kubernetes_namespace`, `kubernetes_services`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from membership.errors import RenderError
from membership.quantity import parse_boolean
from membership.render.setup import Source
from membership.static import parse_names

KEY = "wso2::clustering"
MERGE = "<<"
GENERATIONS = MappingProxyType({"k8": "puppet-modules 1.1.1", "kubernetes": "puppet-modules after 1.1.1"})
"""By the block, oldest first: what the newer one says counts. The prefix of their keys is the block's name."""
SETTINGS = MappingProxyType(
    {
        "services": "MEMBERSHIP_SERVICES",
        "namespace": "MEMBERSHIP_NAMESPACE",
        "master": "MEMBERSHIP_SERVER",
        "api_server": "MEMBERSHIP_SERVER",
        "master_skip_ssl_verification": "MEMBERSHIP_INSECURE_SKIP_TLS_VERIFY",
        "master_username": "KUBERNETES_API_SERVER_USERNAME",
    }
)
"""Our variables by the keys of both blocks, without their prefixes."""
SECRETS = MappingProxyType(
    {"master_password": "KUBERNETES_API_SERVER_PASSWORD", "api_server_token": "KUBERNETES_API_SERVER_TOKEN"}
)
"""Never printed."""


@dataclass(slots=True)
class Imported:
    """Our variables and their values, and what a reader has to know besides, in whole lines."""

    settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def import_hiera(source: Source) -> Imported:
    """What `wso2::clustering` says. Raises RenderError where the file is no Hiera data, or has no such key."""
    clustering = _read_clustering(source)
    found = Imported()
    _import_common(clustering, found)
    _import_kubernetes(clustering, found)
    scheme = _text(clustering.get("membership_scheme"))
    if scheme == "kubernetes":
        if "MEMBERSHIP_SERVICES" not in found.settings:
            found.notes.append("MEMBERSHIP_SERVICES is needed, and the file does not give it: name the Service")
    elif scheme == "wka":
        _import_members(clustering, source, found)
    else:
        found.notes.append(
            f"membership_scheme {scheme or 'not given'}: name the Service in MEMBERSHIP_SERVICES instead"
        )
    for name, value in found.settings.items():
        if not value.isprintable():
            raise RenderError(f"the value of {name} has characters that cannot be printed: {value!r}", source.name)
    return found


def _read_clustering(source: Source) -> Mapping[str, Any]:
    """The block with each scalar as the text that is written there: a Puppet template prints it, whatever its type."""
    import yaml

    try:
        content = _merged(yaml.load(source.content, Loader=yaml.BaseLoader))
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or type(error).__name__
        raise RenderError(f"not YAML: {why}", source.name, None if mark is None else mark.line + 1) from error
    if not isinstance(content, dict) or not isinstance(content.get(KEY), dict):
        raise RenderError(f"no Hiera data with the key {KEY} and settings below it", source.name)
    block: Mapping[str, Any] = content[KEY]
    return block


def _merged(value: Any) -> Any:
    """With what merge keys name, which Ruby's YAML takes as well (https://yaml.org/type/merge.html)."""
    if not isinstance(value, dict):
        return value
    named = value.get(MERGE, ())
    found: dict[str, Any] = {}
    for each in reversed(named if isinstance(named, list) else [named]):  # of several the first counts most
        found |= _merged(each) if isinstance(each, dict) else {}
    return found | {key: _merged(each) for key, each in value.items() if key != MERGE}


def _import_common(clustering: Mapping[str, Any], found: Imported) -> None:
    try:
        enabled = parse_boolean(_text(clustering.get("enabled")) or "true")
    except ValueError:
        enabled = True  # looked up elsewhere
    if not enabled:
        found.notes.append("clustering is off there (enabled: false)")
    _take(found, "MEMBERSHIP_CLUSTER_NAME", clustering.get("domain"))
    _take(found, "MEMBERSHIP_PORT", clustering.get("local_member_port"))
    if host := _text(clustering.get("local_member_host")):
        found.notes.append(f"local_member_host {host}: a pod has its own; set NODE_IP from status.podIP")
    if sub_domain := _text(clustering.get("sub_domain")):
        found.notes.append(f"sub_domain {sub_domain}: not a matter of members; it stays in axis2.xml")


def _import_kubernetes(clustering: Mapping[str, Any], found: Imported) -> None:
    for block, generation in GENERATIONS.items():
        keys = {key: value for key, value in _keys(clustering, block) if _text(value)}
        if keys:
            found.notes.append(f"keys of {generation}")
        for key, value in keys.items():
            stem = key.removeprefix(f"{block}_")
            if stem in SETTINGS:
                _take(found, SETTINGS[stem], value)
            elif stem in SECRETS:
                found.notes.append(f"{key} is a secret and is not printed: give {SECRETS[stem]} from a Secret")
            else:
                found.notes.append(f"{key}: not a setting of ours")


def _keys(clustering: Mapping[str, Any], block: str) -> Iterator[tuple[str, Any]]:
    """Those of a block, and those that stand beside it."""
    yield from ((key, value) for key, value in clustering.items() if key.startswith(f"{block}_"))
    inner = clustering.get(block)
    yield from inner.items() if isinstance(inner, dict) else ()


def _import_members(clustering: Mapping[str, Any], source: Source, found: Imported) -> None:
    """Well-known members, of the block `wka` or, in older files, beside it."""
    block = clustering.get("wka")
    members = (block if isinstance(block, dict) else clustering).get("members")
    entries = [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []
    names = [":".join(filter(None, (_text(one.get("hostname")), _text(one.get("port"))))) for one in entries]
    found.notes.append("a list that stays as it is (membership render --names); to follow pods: MEMBERSHIP_SERVICES")
    _take(found, "MEMBERSHIP_NAMES", ",".join(filter(None, names)))
    if text := found.settings.get("MEMBERSHIP_NAMES"):
        try:
            parse_names(text)
        except ValueError as error:
            raise RenderError(f"wka members: {error}", source.name) from error


def _take(found: Imported, name: str, value: object) -> None:
    text = _text(value)
    if "%{" in text or text.startswith("ENC["):
        found.notes.append(f"{name}: Hiera looks up {text}; give the value itself")
    elif text:
        found.settings[name] = text


def _text(value: object) -> str:
    """A scalar, or a list of them with commas, on one line; "" for anything else."""
    if isinstance(value, list):
        return ",".join(filter(None, map(_text, value)))
    return " ".join(value.split()) if isinstance(value, str) else ""
