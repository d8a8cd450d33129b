"""Where the API server is, and who we are to it: in a cluster from two variables and three files, else a kubeconfig.

Kubeconfig files are read by the official client (exec plugins, OIDC, merged files), which is imported only then:
it costs 20 MiB and 0.4 s that a sidecar in a pod never needs.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from membership.errors import SettingsError
from membership.kube import ApiServer, Credentials
from membership.transport import Tls

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#without-using-a-proxy"""


def connect(
    server: str | None = None,
    *,
    token: str | None = None,
    token_file: str | Path | None = None,
    username: str | None = None,
    password: str | None = None,
    ca_file: str | Path | None = None,
    insecure_skip_tls_verify: bool = False,
    kubeconfig: str | Path | None = None,
    context: str | None = None,
    namespace: str | None = None,
    environ: Mapping[str, str] | None = None,
    service_account: Path = SERVICE_ACCOUNT,
) -> ApiServer:
    """Find the API server. Connects to nothing yet.

    The first of these counts: `server`; `kubeconfig` or `context` where given; the cluster this process runs in; the
    kubeconfig of $KUBECONFIG or ~/.kube/config. `environ` stands for os.environ. Raises SettingsError with every
    problem found: no server anywhere, a file that does not exist, a URL that is none.
    """
    env = os.environ if environ is None else environ
    problems = _missing({"token file": token_file, "CA file": ca_file, "kubeconfig": kubeconfig})
    if server is not None:
        try:
            check_url(server)
        except ValueError as error:
            problems.append(f"server: {error}")
    if problems:
        raise SettingsError(problems)
    in_cluster = _in_cluster_url(env)
    if kubeconfig is not None or context is not None or server is None and in_cluster is None:
        found = _from_kubeconfig(kubeconfig, context, env)
        given = Credentials(token, _path(token_file), username, password) if token or token_file or username else None
        tls = found.tls if ca_file is None else Tls(Path(ca_file), False, found.tls.cert_file, found.tls.key_file)
        if insecure_skip_tls_verify:
            tls = Tls(None, True, tls.cert_file, tls.key_file, tls.server_name)
        return ApiServer(
            server or found.url,
            given or found.credentials,
            tls,
            found.proxy,
            namespace or found.namespace,
            found.origin,
        )
    account_token, account_ca = service_account / "token", service_account / "ca.crt"
    if not (token or token_file or username) and account_token.exists():
        token_file = account_token
    if ca_file is None and account_ca.exists():
        ca_file = account_ca
    return ApiServer(
        server or in_cluster or "",
        Credentials(token, _path(token_file), username, password),
        Tls(_path(ca_file), insecure_skip_tls_verify),
        namespace=namespace or _account_namespace(service_account) or "default",
        origin="given" if server else "in-cluster",
    )


def _in_cluster_url(env: Mapping[str, str]) -> str | None:
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT") or "443"
    if not host:
        return None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _account_namespace(service_account: Path) -> str | None:
    try:
        return (service_account / "namespace").read_text().strip() or None
    except OSError:
        return None


def _from_kubeconfig(kubeconfig: str | Path | None, context: str | None, env: Mapping[str, str]) -> ApiServer:
    files = str(kubeconfig) if kubeconfig else env.get("KUBECONFIG") or "~/.kube/config"
    paths = [os.path.expanduser(part) for part in files.split(os.pathsep) if part]
    if not any(os.path.exists(path) for path in paths):
        why = f"context {context!r} is asked for" if context else "--server is not set, this is no pod"
        raise SettingsError([f"no API server: {why}, and there is no kubeconfig {files}"])
    try:
        from kubernetes import client
        from kubernetes import config as loader
    except ImportError as error:
        raise SettingsError(
            [f"reading {files} needs the official client: pip install 'kubernetes-membership[kubeconfig]'"]
        ) from error
    loaded: Any = client.Configuration()
    config: Any = loader
    merged = os.pathsep.join(paths)
    try:
        config.load_kube_config(merged, context=context, client_configuration=loaded)
        contexts, active = config.list_kube_config_contexts(merged)
    except Exception as error:  # the client raises its own, yaml's and OSErrors, and documents none
        raise SettingsError([f"kubeconfig {files}: {error}"]) from error
    chosen = next((c for c in contexts if c.get("name") == context), active) if context else active
    return ApiServer(
        loaded.host,
        Credentials(refresh=lambda: _authorization(loaded)),
        Tls(
            _path(loaded.ssl_ca_cert),
            not loaded.verify_ssl,
            _path(loaded.cert_file),
            _path(loaded.key_file),
            loaded.tls_server_name,
        ),
        _proxy(loaded),
        (chosen.get("context") or {}).get("namespace") or "default",
        "kubeconfig",
    )


def _authorization(loaded: Any) -> str | None:
    """The header's value; the client refreshes exec plugin and OIDC tokens in this call."""
    bearer: str | None = loaded.get_api_key_with_prefix("BearerToken", alias="authorization")
    if bearer:
        return bearer
    basic: str | None = loaded.get_basic_auth_token() if loaded.username else None
    return basic


def _proxy(loaded: Any) -> tuple[str, int, dict[str, str]] | None:
    if not loaded.proxy:
        return None
    url = urlsplit(loaded.proxy)
    if url.scheme not in ("http", "") or not url.hostname:
        raise SettingsError([f"proxy {loaded.proxy!r} is not an http:// URL: no other kind is supported"])
    headers: dict[str, str] = dict(loaded.proxy_headers or {})
    if url.username:
        basic = Credentials(username=unquote(url.username), password=unquote(url.password or "")).header()
        headers["Proxy-Authorization"] = basic or ""
    return url.hostname, url.port or 3128, headers


def _path(name: str | Path | None) -> Path | None:
    return None if name is None else Path(name)


def _missing(files: Mapping[str, str | Path | None]) -> list[str]:
    return [f"{what} {str(name)!r} does not exist" for what, name in files.items() if name and not Path(name).exists()]


def check_url(server: str) -> None:
    """Raises ValueError for what is no URL of an API server."""
    try:
        url = urlsplit(server)
        if url.scheme in ("http", "https") and url.hostname and url.port != 0 and not re.search(r"\s", server):
            return
    except ValueError:
        pass
    raise ValueError(f"{server!r} is not a URL such as https://10.96.0.1:443")
