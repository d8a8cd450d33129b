"""Where the API server is, and who we are to it: in a cluster from two variables and three files, else a kubeconfig.

Kubeconfig files are read by the official client (exec plugins, OIDC, merged files), which is imported only then:
it costs 20 MiB and 0.4 s that a sidecar in a pod never needs.
"""

import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from membership.errors import SettingsError, Unreachable
from membership.kube import ApiServer, Credentials
from membership.transport import Tls

_T = TypeVar("_T")
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#without-using-a-proxy"""


class _Context(msgspec.Struct):
    namespace: str | None = None


class _NamedContext(msgspec.Struct):
    name: str = ""
    context: _Context | None = None


class _Kubeconfig(msgspec.Struct):
    """What is asked of a kubeconfig where the API server is given: https://kubernetes.io/docs/reference/config-api/"""

    current: str | None = msgspec.field(default=None, name="current-context")
    contexts: list[_NamedContext] | None = None


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
    kubeconfig of $KUBECONFIG or ~/.kube/config. `namespace` is the default one: where it is not given that of the
    service account, else that of the kubeconfig's context, else `default`. `environ` stands for os.environ. Raises
    SettingsError with every problem found: no server anywhere, a file that does not exist, a URL that is none.
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
        tls = found.tls if ca_file is None else replace(found.tls, ca_file=Path(ca_file), skip_verify=False)
        if insecure_skip_tls_verify:
            tls = replace(tls, ca_file=None, skip_verify=True)
        return ApiServer(
            server or found.url,
            given or found.credentials,
            tls,
            found.proxy,
            namespace or found.namespace,
            found.origin,
        )
    account_token, account_ca = service_account / "token", service_account / "ca.crt"
    if not (token or token_file or username) and os.path.exists(account_token):
        token_file = account_token
    if ca_file is None and os.path.exists(account_ca):
        ca_file = account_ca
    return ApiServer(
        server or in_cluster or "",
        Credentials(token, _path(token_file), username, password),
        Tls(_path(ca_file), insecure_skip_tls_verify),
        namespace=namespace or _account_namespace(service_account) or _context_namespace(env) or "default",
        origin="given" if server else "in-cluster",
    )


def connect_within(seconds: float | None, read: Callable[[], _T]) -> _T:
    """What `read` gives, which calls `connect`. Raises Unreachable after `seconds`; None waits for ever.

    The official client sets no limit to what a kubeconfig logs in with, a plugin or an identity provider. So it runs in
    a thread of its own: a signal interrupts the waiting here, and a plugin that is no longer waited for is ended.
    """
    found: list[_T] = []
    problems: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            found.append(read())
        except BaseException as error:
            problems.append(error)
        done.set()

    thread = threading.Thread(target=run, name="connect", daemon=True)
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    thread.start()
    try:
        # In short waits: where the other thread takes the signal this one sleeps on, as one of 60 tries did.
        while not done.wait(max(0.0, min(0.1, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise Unreachable(f"no credentials in {seconds:g} s from the kubeconfig's plugin or identity provider")
    finally:
        if not done.is_set():
            with suppress(OSError):  # Linux alone tells whom a thread has started
                for child in Path(f"/proc/self/task/{thread.native_id}/children").read_text().split():
                    os.kill(int(child), signal.SIGTERM)
    for problem in problems:
        raise problem
    return found[0]


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


def _context_namespace(env: Mapping[str, str]) -> str | None:
    """Of the kubeconfig's current context. Of several files the first that says something counts, as for kubectl."""
    current, namespaces = None, dict[str, str | None]()
    for path in _split_paths(_kubeconfig_files(env)):
        try:
            found = msgspec.yaml.decode(Path(path).read_bytes(), type=_Kubeconfig)
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError, RecursionError) as error:
            raise SettingsError(
                [f"kubeconfig {path}, asked for the namespace: {error}; or give --namespace"]
            ) from error
        current = current or found.current
        for one in found.contexts or ():
            namespaces.setdefault(one.name, one.context.namespace if one.context else None)
    return namespaces.get(current or "")


def _kubeconfig_files(env: Mapping[str, str]) -> str:
    return env.get("KUBECONFIG") or "~/.kube/config"


def _split_paths(files: str) -> list[str]:
    return [os.path.expanduser(part) for part in files.split(os.pathsep) if part]


def _from_kubeconfig(kubeconfig: str | Path | None, context: str | None, env: Mapping[str, str]) -> ApiServer:
    files = str(kubeconfig) if kubeconfig else _kubeconfig_files(env)
    paths = _split_paths(files)
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
    config: Any = loader
    merged = os.pathsep.join(paths)

    def load() -> Any:
        configuration: Any = client.Configuration()
        config.load_kube_config(merged, context=context, client_configuration=configuration)
        return configuration

    try:
        loaded = load()
        contexts, active = config.list_kube_config_contexts(merged)
    except Exception as error:  # the client raises its own, yaml's and OSErrors, and documents none
        raise SettingsError([f"kubeconfig {files}: {error}"]) from error
    chosen = next((c for c in contexts if c.get("name") == context), active) if context else active
    login = _Login(loaded, load)
    return ApiServer(
        loaded.host,
        Credentials(refresh=login.header, refused=login.note_refusal),
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


RENEWAL_LIMIT = 60.0
"""Seconds in which a running program's token must be renewed; the start, where a person may be asked, has its own."""


class _Login:
    """Who a kubeconfig says we are, safe to use from several threads.

    The client asks an exec plugin again once its token has expired, and nothing else by itself: what a token file or an
    identity provider gives is what it was at the start. So all of it is loaded anew after the server has refused it.
    """

    def __init__(self, loaded: Any, load: Callable[[], Any]) -> None:
        self._lock = threading.Lock()
        self._loaded, self._load = loaded, load
        self._refused = False

    def header(self) -> str | None:
        """The value of the Authorization header, None for none. Raises Unreachable with the client's reason."""
        with self._lock:
            try:
                return connect_within(RENEWAL_LIMIT, self._current)
            except Unreachable:
                raise
            except Exception as error:  # the client raises its own, yaml's and OSErrors, and documents none
                raise Unreachable(f"the kubeconfig gives no credentials: {error}") from error

    def _current(self) -> str | None:
        if self._refused:
            self._loaded = self._load()
            self._refused = False
        return _authorization(self._loaded)

    def note_refusal(self) -> None:
        """The server has answered 401."""
        self._refused = True


def _authorization(loaded: Any) -> str | None:
    """The header's value; the client refreshes the token of an exec plugin in this call."""
    bearer: str | None = loaded.get_api_key_with_prefix("BearerToken", alias="authorization")
    if bearer:
        return bearer
    basic: str | None = loaded.get_basic_auth_token() if loaded.username else None
    return basic


def _proxy(loaded: Any) -> tuple[str, int, dict[str, str]] | None:
    from kubernetes.client.rest import should_bypass_proxies

    if not loaded.proxy or should_bypass_proxies(loaded.host, loaded.no_proxy or ""):
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
    return [f"{what} {str(name)!r} does not exist" for what, name in files.items() if name and not os.path.exists(name)]


def check_url(server: str) -> None:
    """Raises ValueError for what is no URL of an API server, or has a password in it, which every log would show."""
    try:
        url = urlsplit(server)
        right = url.scheme in ("http", "https") and url.hostname and url.port != 0 and not re.search(r"\s", server)
    except ValueError:
        right = False
    if not right:
        raise ValueError(f"{server!r} is not a URL such as https://10.96.0.1:443")
    if url.username is not None:
        raise ValueError(
            "a URL with a user name in it: give it and its password by KUBERNETES_API_SERVER_USERNAME and "
            "KUBERNETES_API_SERVER_PASSWORD"
        )
