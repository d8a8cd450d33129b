"""kopf's `@kopf.on.event`, the handler of https://docs.kopf.dev/en/stable/events/ ("spy on raw events").

`posting.enabled` and the peering are off, as its documentation says for a program that may write nothing. The label is
a filter of the handler, so kopf itself watches all slices of the namespace; here they are of one Service. The login is
that of https://docs.kopf.dev/en/stable/authentication/, because kopf's own asks for the name kubernetes.default.svc.
"""

import logging
import os
from pathlib import Path

import kopf

from benchmarks.arms.programs.report import ACCOUNT, NAMESPACE, SERVICE, run, tell_slices


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: object) -> None:
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True


@kopf.on.login()
def log_in(**_: object) -> kopf.ConnectionInfo:
    return kopf.ConnectionInfo(
        server=f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}",
        ca_path=f"{ACCOUNT}/ca.crt",
        scheme="Bearer",
        token=Path(ACCOUNT, "token").read_text(),
    )


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    slices: dict[str, list[str]] = {}

    @kopf.on.event("discovery.k8s.io", "v1", "endpointslices", labels={"kubernetes.io/service-name": SERVICE})
    def follow(type: str | None, name: str, body: kopf.Body, **_: object) -> None:
        if type == "DELETED":
            slices.pop(name, None)
        else:
            slices[name] = [address for endpoint in body.get("endpoints") or () for address in endpoint["addresses"]]
        tell_slices(slices, body["metadata"]["resourceVersion"])

    kopf.run(standalone=True, namespaces=[NAMESPACE])


if __name__ == "__main__":
    run(main)
