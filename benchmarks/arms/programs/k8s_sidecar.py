"""kiwigrid/k8s-sidecar itself, unchanged, with the settings of its examples/example.yaml and all other defaults.

It follows ConfigMaps and Secrets only, so the benchmark keeps one ConfigMap for each slice, with one key for each
address; the files in FOLDER are the list it believes in. `/healthz` is its own signal (README.md, "Health Endpoint").
"""

import os
import runpy
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from benchmarks.arms.programs.report import run, tell, tell_addresses

PAUSE = 0.05
HEALTH_EVERY = 1.0


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="k8s-sidecar-") as folder:
        os.environ |= {"LABEL": "member", "LABEL_VALUE": "is", "FOLDER": folder, "RESOURCE": "configmap"}
        threading.Thread(target=follow_folder, args=(folder,), daemon=True).start()
        sys.argv = ["sidecar"]  # its helpers.py parses the arguments when it is imported
        runpy.run_module("sidecar", run_name="__main__")


def follow_folder(folder: str) -> None:
    told: list[str] = []
    while True:
        try:
            found = sorted(os.listdir(folder))
        except FileNotFoundError:  # the program is ending
            return
        if found != told:
            if not told:
                threading.Thread(target=follow_health, daemon=True).start()
            told = found
            tell_addresses(told)
        time.sleep(PAUSE)


def follow_health() -> None:
    told = ""
    while True:
        try:
            with urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=5) as answer:
                health = f"/healthz {answer.status}"
        except urllib.error.HTTPError as error:
            health = f"/healthz {error.code}"
        except OSError:
            health = told
        if health != told:
            told = health
            tell(health=health)
        time.sleep(HEALTH_EVERY)


if __name__ == "__main__":
    run(main)
