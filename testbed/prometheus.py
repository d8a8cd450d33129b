"""A real Prometheus on loopback, for the rules and queries that people will load into theirs.

    with Prometheus(folder, [{"job_name": "x", "static_configs": [...]}], [rules_file]) as prometheus:
        prometheus.query("up")

Debian's package `prometheus` has it, and `promtool`.
"""

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from testbed.program import Program
from testbed.rest import Json
from testbed.waiting import wait_for

HOST = "127.0.0.1"
INTERVAL = "500ms"
"""Between two scrapes, and between two evaluations of all rules."""


class Prometheus:
    """Scrapes and evaluates every half second, whatever `scrapes` say of intervals. All files are in `folder`."""

    def __init__(self, folder: Path, scrapes: Sequence[Json], rules: Sequence[Path] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "prometheus.yaml"
        often = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL}
        content = {
            "global": {**often, "evaluation_interval": INTERVAL},
            "scrape_configs": [{**scrape, **often} for scrape in scrapes],
            "rule_files": [str(path) for path in rules],
        }
        config.write_text(yaml.safe_dump(content))
        self._url = f"http://{HOST}:{_find_port()}"
        command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address={self._url.removeprefix('http://')}", "--log.level=warn"]
        self._program = Program("prometheus", command, folder / "prometheus.log", {"PATH": os.environ["PATH"]})

    def __enter__(self) -> Self:
        self._program.start()
        try:
            wait_for(self._is_ready, timeout=30, what="prometheus", every=0.05)
        except BaseException:
            self._program.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.kill()

    def query(self, expression: str) -> list[Json]:
        """The series of an instant query, each with `metric` (labels) and `value` (time and text)."""
        result: list[Json] = self.ask("query", query=expression)["result"]
        return result

    def ask(self, path: str, **parameters: str) -> Any:
        """`data` of an answer of /api/v1/; ValueError with the server's words for a query that it refuses."""
        try:
            with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except URLError as refused:
            text = refused.read().decode() if hasattr(refused, "read") else str(refused)
            raise ValueError(f"{parameters or path}: {text}") from None

    def _is_ready(self) -> bool:
        if self._program.pid is None:
            raise RuntimeError(f"prometheus ended:\n{self._program.read_log_tail()}")
        try:
            with urlopen(f"{self._url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _find_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])
