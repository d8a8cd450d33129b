"""What a pod's process finds: the files of a service account at their paths, and two variables."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_ENTER = (
    'mount -t tmpfs none "$(realpath /var/run)" && mkdir -p "$(dirname "$1")" && ln -s "$0" "$1" && shift && exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Pod:
    """`account` is a folder that stands for the mounted one: token, ca.crt, namespace. `url` is the API server's."""

    account: Path
    url: str

    @classmethod
    def make(cls, account: Path, url: str, *, token: str, ca_file: Path, namespace: str) -> "Pod":
        """Write the files of the account into a new folder."""
        account.mkdir(parents=True)
        (account / "token").write_text(token)
        (account / "namespace").write_text(namespace)
        shutil.copy(ca_file, account / "ca.crt")
        return cls(account.absolute(), url)

    @property
    def variables(self) -> dict[str, str]:
        host, _, port = self.url.partition("://")[2].partition(":")
        return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}

    def enter(self, command: Sequence[str]) -> list[str]:
        """The command in a mount namespace of its own, with the account in its place. Every step is an exec: the
        process that is started is the command in the end, with its pid. Needs root, or user namespaces."""
        unshare = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount"]
        return [*unshare, "sh", "-c", _ENTER, str(self.account), ACCOUNT, *command]
