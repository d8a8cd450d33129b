"""hazelcast: do the members answer, do they see each other, are they of one name and one version?"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from membership.doctor.carbon import find_places, read_places
from membership.doctor.carbon_file import PLACEHOLDER
from membership.doctor.catalogue import common, find
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation
from membership.hazelcast import client_cluster
from membership.hazelcast_rest import ask_name
from membership.model import Snapshot
from membership.session import Membership
from membership.verification import CONFIRM, Verification, VerifyRules
from membership.verify import Verdict, View, choose_targets, confirmed

SHOWN = 10


def examine_hazelcast(situation: Situation, limit: Limit) -> Iterator[Finding]:
    if situation.membership is None:
        yield common("hazelcast", "skipped", "no API server or no Services are known, so nobody knows whom to ask")
        return
    snapshot = situation.wait_list(limit)
    if not snapshot.endpoints:
        yield common("hazelcast", "skipped", "the list has no addresses")
        return
    verdict = _ask(situation, limit)
    serving = {one.endpoint: one.serving for one in snapshot.members if one.endpoint is not None}
    yield from judge_verdict(verdict, serving)
    yield from judge_versions(
        verdict.views, situation.settings.setup.hazelcast_version if situation.reading.tells_version else None
    )
    yield from _examine_names(situation, snapshot, verdict, limit)


def judge_verdict(verdict: Verdict, serving: Mapping[str, bool]) -> Iterator[Finding]:
    """`serving`: by `host:port`, what Kubernetes says."""
    told: set[str] = set()
    for code, views in _sort_views(verdict.views, serving).items():
        told.update(view.asked for view in views)
        if views:
            yield find(code, _lines([f"{view.asked}: {view.why}" for view in views]))
    if verdict.halves:
        yield find("hazelcast.split", _lines([", ".join(half) for half in verdict.halves]))
    if verdict.missing:
        yield find("hazelcast.missing", ", ".join(verdict.missing))
    if verdict.unexpected:
        yield find("hazelcast.unexpected", ", ".join(entry.address for entry in verdict.unexpected))
    if verdict.verdict == "agreed":
        yield find("hazelcast.ok", verdict.reason)
    elif verdict.verdict == "forming":
        yield find("hazelcast.forming", verdict.reason)
    elif verdict.verdict == "unknown" and not {entry.address for entry in verdict.unknown} <= told:
        yield find("hazelcast.unknown", verdict.reason)


def judge_versions(views: Sequence[View], wanted: tuple[int, int] | None) -> Iterator[Finding]:
    """`wanted`: as in --hazelcast-version; None where it was not said."""
    versions = {view.asked: view.version for view in views if view.version}
    majors = {version.partition(".")[0] for version in versions.values()}
    evidence = _lines([f"{asked}: {version}" for asked, version in versions.items()])
    if len(majors) > 1:
        yield find("hazelcast.versions", evidence)
    elif wanted is not None and majors and majors != {str(wanted[0])}:
        yield find("hazelcast.other-version", f"{evidence}\nthe settings: {wanted[0]}")


def _ask(situation: Situation, limit: Limit) -> Verdict:
    """The verdict; a difference is looked at again, with a list that is newer than the views."""
    settings = situation.settings
    options = replace(settings.options, upstream=None) if situation.upstream_problem else settings.options
    cluster = client_cluster(settings.setup.cluster_name, settings.setup.hazelcast_version)
    verification = Verification(VerifyRules("all", settings.setup.self_ip, settings.setup.port, cluster))
    assert situation.membership is not None
    try:
        verdict = verification.run(situation.membership)
        before: Verdict | None = None
        while verdict.verdict not in ("agreed", "unknown") and not (verdict.differs and confirmed(before, verdict)):
            if limit.left < 2 * CONFIRM or (before is not None and not verdict.differs):
                break
            time.sleep(CONFIRM)
            with Membership(settings.server, settings.services, settings.port, options=options) as newer:
                newer.wait(0, limit.left)
                before, verdict = verdict, verification.run(newer)
        return verdict
    finally:
        verification.close()


def _sort_views(views: Sequence[View], serving: Mapping[str, bool]) -> dict[str, list[View]]:
    """By what is to be said about them; ready and joining ones are the verdict's business."""
    found: dict[str, list[View]] = {
        code: [] for code in ("hazelcast.closed", "hazelcast.starting", "hazelcast.strange", "hazelcast.rest-off")
    }
    for view in views:
        if view.state == "silent":
            found["hazelcast.closed" if serving.get(view.asked, True) else "hazelcast.starting"].append(view)
        elif view.state == "off":
            found["hazelcast.rest-off"].append(view)
        elif view.state == "unknown" and view.way == "rest":
            found["hazelcast.strange"].append(view)
    return found


def _examine_names(situation: Situation, snapshot: Snapshot, verdict: Verdict, limit: Limit) -> Iterator[Finding]:
    """Whether those who answer by REST belong to the cluster of our name."""
    setup = situation.settings.setup
    name = setup.cluster_name or _find_name(situation)
    ready = {view.asked for view in verdict.views if view.state == "ready" and view.way == "rest"}
    if name is None or not ready:
        return
    targets = [one for one in choose_targets(snapshot, "all", setup.self_ip, setup.port) if one.name in ready]
    others = []
    for target in targets:
        if limit.left > 0 and ask_name(target, name, limit.interrupt) is False:
            others.append(target.name)
    if others:
        yield find("hazelcast.name", f"{name!r} is not the name of: {', '.join(others)}")


def _find_name(situation: Situation) -> str | None:
    """The one in Carbon's file, where it stands there as it is."""
    told = (file.cluster for file in read_places(find_places(situation))[0])
    return next((name for name in told if not PLACEHOLDER.search(name)), None)


def _lines(lines: Sequence[str]) -> str:
    return "\n".join([*lines[:SHOWN], *([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])])
