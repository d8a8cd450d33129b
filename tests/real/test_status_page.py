"""The page at `/` in a real browser: content, live update, no errors in its console, its policy, who can read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from membership.testing import FakeKube
from tests.running import Sidecar, pods, until
from tests.operations.test_verify import Cluster, cluster

__all__ = ["cluster"]
SOON = 15.0
"""Seconds for what a browser does: it shares two cores."""
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
AXES = """
const named = (element) => element.textContent.trim() || element.getAttribute("aria-label");
return {
  lang: document.documentElement.lang,
  titles: [...document.querySelectorAll("h1")].length,
  landmarks: ["header", "main", "footer", "nav"].filter((name) => !document.querySelector(name)),
  columns: [...document.querySelectorAll("thead th")].filter((cell) => cell.scope !== "col").length,
  rows: [...document.querySelectorAll("tbody th")].filter((cell) => cell.scope !== "row").length,
  status: document.querySelector("[role=status]").textContent.trim(),
  nameless: [...document.querySelectorAll("a, svg, section, nav, [tabindex]")].filter(
    (element) => !named(element) && !element.getAttribute("aria-labelledby")).map((element) => element.outerHTML),
};
"""
CONTRAST = """
const parse = (color) => color.match(/[0-9.]+/g).slice(0, 3).map((part) => {
  const value = part / 255;
  return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
});
const light = (color) => { const [r, g, b] = parse(color); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const back = light(getComputedStyle(document.body).backgroundColor);
const found = [...document.querySelectorAll("body *")].filter((element) => element.childNodes.length &&
  [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
return found.map((element) => {
  const fore = light(getComputedStyle(element).color);
  return [(Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05), element.outerHTML.slice(0, 80)];
}).filter(([ratio]) => ratio < 4.5);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # its own needs a user namespace, and we are root in a container
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-proxy-server",
        "--window-size=1100,1400",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield found
    finally:
        found.quit()


def show(browser: webdriver.Chrome, sidecar: Sidecar) -> None:
    browser.get("about:blank")  # else the page of a test before this one still asks its sidecar, which has gone
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(f"http://127.0.0.1:{sidecar.port}/")


def text(browser: webdriver.Chrome, part: str) -> str:
    return str(browser.execute_script("return document.getElementById(arguments[0]).innerText", part))


def comes(browser: webdriver.Chrome, part: str, words: str) -> None:
    until(lambda: words in text(browser, part), SOON, f"{words!r} in {part}")


def complaints(browser: webdriver.Chrome) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return found


def test_the_page_follows_the_list(browser: webdriver.Chrome, kube: FakeKube, tmp_path: Path) -> None:
    with Sidecar(kube, "--out", f"lines:{tmp_path}/lines").synced() as sidecar:
        show(browser, sidecar)
        assert "2 members, synced, from endpointslices, gate open" in text(browser, "verdict")
        comes(browser, "age", "live")
        browser.execute_script("window.first = document.getElementById('members')")
        kube.set_service("wso2", "is", pods(3))
        comes(browser, "members", "10.244.0.7:4000")
        comes(browser, "verdict", "3 members")
        comes(browser, "changes", "joined is-2")
        comes(browser, "outputs", "generation 2")
        assert browser.execute_script("return window.first === document.getElementById('members')"), "not loaded anew"
        assert browser.execute_script("return document.querySelectorAll('polyline').length") == 1
        assert complaints(browser) == []


def test_a_split_shows_and_goes(browser: webdriver.Chrome, cluster: Cluster) -> None:
    cluster.pods("ab")
    cluster.run("a", "a")
    cluster.run("b", "b")
    with cluster.sidecar().synced() as sidecar:
        show(browser, sidecar)
        comes(browser, "split", "cluster 2")
        boxes = browser.execute_script("return [...document.querySelectorAll('.half')].map((one) => one.innerText)")
        assert [address in box for address, box in zip(cluster.at("a", "b"), boxes, strict=True)] == [True, True]
        cluster.whole("ab")
        until(lambda: "cluster" not in text(browser, "split"), SOON, "the end of the split")
        comes(browser, "verdict", "Hazelcast: agreed")
        assert complaints(browser) == []


def test_a_sidecar_that_is_gone_is_told(browser: webdriver.Chrome, kube: FakeKube) -> None:
    with Sidecar(kube).synced() as sidecar:
        show(browser, sidecar)
        comes(browser, "age", "live")
        sidecar.kill()
        comes(browser, "age", "not live: the sidecar does not answer")
        assert "2 members" in text(browser, "verdict"), "what was known stays"


def test_what_the_api_server_sends_is_text(browser: webdriver.Chrome, kube: FakeKube) -> None:
    evil = "<img src=x onerror=alert(1)>"
    kube.put_slice(
        {
            "metadata": {"name": "evil", "namespace": "wso2", "labels": {"kubernetes.io/service-name": "is"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.6.6.6"], "nodeName": evil}],
            "ports": [],
        }
    )
    with Sidecar(kube).synced() as sidecar:
        show(browser, sidecar)
        comes(browser, "members", evil)
        comes(browser, "age", "live")
        assert browser.execute_script("return document.images.length") == 0 and complaints(browser) == []


def test_a_page_of_its_own_code_only(browser: webdriver.Chrome, kube: FakeKube) -> None:
    """The policy is at work: a script in the page does not run, and says so in the console."""
    with Sidecar(kube).synced() as sidecar:
        show(browser, sidecar)
        add = "const bad = document.createElement('script'); bad.textContent = 'window.bad = 1'; "
        browser.execute_script(add + "document.body.append(bad)")
        assert browser.execute_script("return window.bad") is None
        assert any("Content Security Policy" in each["message"] for each in complaints(browser))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_a_screen_reader_can_read_it(browser: webdriver.Chrome, kube: FakeKube, scheme: str) -> None:
    kube.set_service("wso2", "is", [*pods(2), *pods(1, 7, ready=False)])
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    with Sidecar(kube).synced() as sidecar:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        try:
            show(browser, sidecar)
            comes(browser, "age", "live")
            page, window = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert page <= window, "nothing but the table is wider than the window"
            back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
            assert (back == "rgb(255, 255, 255)") is (scheme == "light")
            assert browser.execute_script(CONTRAST) == [], "WCAG AA: 4.5 to 1"
            found = browser.execute_script(AXES)
            assert found.pop("status").startswith("in order")
            empty: list[str] = []
            expected = {"lang": "en", "titles": 1, "landmarks": empty, "columns": 0, "rows": 0, "nameless": empty}
            assert found == expected
        finally:
            browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
