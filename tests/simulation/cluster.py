"""Pods, Services, and the two controllers that write what clients see of them: late, in pieces and out of order."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.history import History, Piece, Place
from tests.simulation.machine import Machine

ROOM = 3
"""Endpoints of a slice, before another is begun."""


@dataclass(eq=False)
class Pod:
    uid: str
    address: str
    ready: bool = False
    terminating: bool = False
    gone: bool = False


@dataclass(eq=False)
class Slice:
    name: str
    owner: str
    created: int
    pods: list[Pod] = field(default_factory=list)
    deleted: bool = False


@dataclass(eq=False)
class Service:
    namespace: str
    name: str
    owner: int = 0
    """Counts the Services of this name that there have been; 0 while there is none."""
    exists: bool = False
    pods: list[Pod] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)


class Cluster:
    """Does the steps of a schedule that change what is true. `history` is what has been written so far."""

    def __init__(self, machine: Machine, history: History, services: list[Service]) -> None:
        self._machine = machine
        self.history = history
        self.committed: Callable[[], None] = lambda: None
        """Called after each write."""
        self._services = services
        self._named = 0
        self.busy_until = machine.now
        """When the last write is done that is planned by now."""

    def do(self, action: str, which: int, delay: float, gap: float) -> None:
        """One step. `delay` is how late its first write is, `gap` how much later the next ones are.

        A step that makes no sense at the moment does nothing, so that any part of a schedule is a schedule.
        """
        service = self._services[which % len(self._services)]
        which //= len(self._services)
        getattr(self, f"_{action}")(service, which, delay, gap)

    def restore(self, rv: int) -> None:
        """From now on the store is what it was at `rv`. The controllers go on with what they know."""
        self.history = self.history.restored(rv)

    # The steps.

    def _create(self, service: Service, which: int, delay: float, gap: float) -> None:
        if service.exists:
            return
        service.exists, service.owner = True, service.owner + 1
        current = self._begin(service)
        for pod in service.pods:
            if len(current.pods) >= ROOM:
                current = self._begin(service)
            current.pods.append(pod)
        self._write(service, [piece for piece in service.slices if not piece.deleted], delay, gap)

    def _delete(self, service: Service, which: int, delay: float, gap: float) -> None:
        """The Service goes at once, its slices when they are garbage."""
        service.exists = False
        for number, piece in enumerate(service.slices):
            piece.deleted = True
            self._later(delay + number * gap, self._put_slice, service, piece)
        service.slices = []
        self._later(delay, self._put_endpoints, service)

    def _recreate(self, service: Service, which: int, delay: float, gap: float) -> None:
        """The new one's slices come before the old one's are gone."""
        self._delete(service, which, delay + 2.0, gap)
        self._create(service, which, delay, gap)

    def _start(self, service: Service, which: int, delay: float, gap: float, address: str = "") -> None:
        if not service.exists or len(service.pods) >= 6:
            return
        self._named += 1
        pod = Pod(f"u{self._named}", address or f"10.0.0.{self._named % 250 + 1}")
        service.pods.append(pod)
        room = [piece for piece in service.slices if len(piece.pods) < ROOM]
        piece = room[which % len(room)] if room else self._begin(service)
        piece.pods.append(pod)
        self._write(service, [piece], delay, gap)

    def _reuse(self, service: Service, which: int, delay: float, gap: float) -> None:
        """A new pod gets the address of one that is still there, terminating or not seen to be gone yet."""
        if pod := self._pod(service, which):
            if not service.slices or all(len(piece.pods) >= ROOM for piece in service.slices):
                self._begin(service)
            self._start(service, which, delay, gap, pod.address)
            pod.terminating = True
            self._write(service, self._holding(service, pod), delay + gap, gap)

    def _ready(self, service: Service, which: int, delay: float, gap: float) -> None:
        if pod := self._pod(service, which):
            pod.ready = not pod.ready
            self._write(service, self._holding(service, pod), delay, gap)

    def _terminate(self, service: Service, which: int, delay: float, gap: float) -> None:
        if pod := self._pod(service, which):
            pod.terminating = True
            self._write(service, self._holding(service, pod), delay, gap)

    def _gone(self, service: Service, which: int, delay: float, gap: float) -> None:
        if pod := self._pod(service, which):
            self._remove(service, [pod], delay, gap)

    def _all_gone(self, service: Service, which: int, delay: float, gap: float) -> None:
        self._remove(service, list(service.pods), delay, gap)

    def _move(self, service: Service, which: int, delay: float, gap: float) -> None:
        """From one slice to another by two writes, either of which may come first."""
        pod = self._pod(service, which)
        here = [] if pod is None else self._holding(service, pod)
        if pod is None or not here:
            return
        there = next((piece for piece in service.slices if piece is not here[0] and len(piece.pods) < ROOM), None)
        there = there or self._begin(service)

        def leave(piece: Slice) -> None:
            if pod in piece.pods:
                piece.pods.remove(pod)
            self._put_slice((service, piece))

        def arrive(piece: Slice) -> None:
            if pod not in piece.pods and not pod.gone:
                piece.pods.append(pod)
            self._put_slice((service, piece))

        first, second = ((leave, here[0]), (arrive, there)) if which % 3 else ((arrive, there), (leave, here[0]))
        self._machine.at(self._machine.now + delay, *first)
        self._machine.at(self._machine.now + delay + gap, *second)
        self.busy_until = max(self.busy_until, self._machine.now + delay + gap)

    def _touch(self, service: Service, which: int, delay: float, gap: float) -> None:
        """A write that changes nothing that matters."""
        self._write(service, service.slices[-1:], delay, gap)

    def _static(self, service: Service, which: int, delay: float, gap: float) -> None:
        """A slice made by hand, of one address without a pod; or the end of it."""
        name = f"{service.name}-static"
        found = [piece for piece in service.slices if piece.name == name]
        if found:
            service.slices.remove(found[0])
            found[0].deleted = True
        else:
            found = [Slice(name, "", 0, [Pod("", f"10.0.0.{251 + which % 4}", ready=True)])]
            service.slices.append(found[0])
        self._later(delay, self._put_slice, service, found[0])

    def _noise(self, service: Service, which: int, delay: float, gap: float) -> None:
        """Other objects are written: the version moves, and nothing is told of it."""
        self.history.rv += which % 40 + 1
        self.committed()

    # Their writes.

    def _pod(self, service: Service, which: int) -> Pod | None:
        return service.pods[which % len(service.pods)] if service.pods else None

    def _holding(self, service: Service, pod: Pod) -> list[Slice]:
        return [piece for piece in service.slices if pod in piece.pods]

    def _begin(self, service: Service) -> Slice:
        self._named += 1
        piece = Slice(f"{service.name}-{self._named}", f"s{service.owner}", self._named)
        service.slices.append(piece)
        return piece

    def _remove(self, service: Service, pods: list[Pod], delay: float, gap: float) -> None:
        touched = [piece for piece in service.slices if any(pod in piece.pods for pod in pods)]
        for pod in pods:
            pod.gone = True
            service.pods.remove(pod)
            for piece in touched:
                if pod in piece.pods:
                    piece.pods.remove(pod)
        for piece in touched:
            if not piece.pods and len(service.slices) > 1 and gap > 0.1:
                service.slices.remove(piece)
                piece.deleted = True
        self._write(service, touched, delay, gap)

    def _write(self, service: Service, pieces: list[Slice], delay: float, gap: float) -> None:
        for number, piece in enumerate(pieces):
            self._later(delay + number * gap, self._put_slice, service, piece)
        self._later(delay + gap, self._put_endpoints, service)

    def _later(self, seconds: float, put: Callable[..., None], *what: object) -> None:
        self._machine.at(self._machine.now + seconds, put, what)
        self.busy_until = max(self.busy_until, self._machine.now + seconds)

    def _put_slice(self, what: tuple[Service, Slice]) -> None:
        service, piece = what
        log = self.history.logs["endpointslices", service.namespace]
        if piece.deleted and piece.name not in log.states[-1]:
            return
        places = tuple(
            Place(pod.address, pod.uid or None, pod.ready and not pod.terminating, pod.ready, pod.terminating)
            for pod in piece.pods
        )
        if piece.deleted:  # a deletion tells what was there, whatever is known of the pods by now
            places = log.states[-1][piece.name].places
        rv = self.history.rv = self.history.rv + 1
        body = slice_body(service, piece, places, rv)
        stored = Piece(rv, service.name, piece.owner, piece.created, places, body)
        log.put(piece.name, None if piece.deleted else stored, rv, body)
        self.committed()

    def _put_endpoints(self, what: tuple[Service]) -> None:
        service = what[0]
        log = self.history.logs["endpoints", service.namespace]
        if not service.exists and service.name not in log.states[-1]:
            return
        addresses: dict[str, Place] = {}
        for pod in service.pods:
            if not pod.terminating:
                addresses[pod.address] = Place(pod.address, pod.uid, pod.ready, pod.ready, False)
        # As the object is read: ready addresses first.
        places = tuple(sorted(addresses.values(), key=lambda place: not place.ready))
        rv = self.history.rv = self.history.rv + 1
        body = endpoints_body(service, places, rv)
        stored = Piece(rv, service.name, "", 0, places, body)
        log.put(service.name, stored if service.exists else None, rv, body)
        self.committed()


def slice_body(service: Service, piece: Slice, places: tuple[Place, ...], rv: int) -> bytes:
    """An EndpointSlice's JSON, with the variations that the API allows: null for empty, and unset conditions."""
    endpoints = ",".join(map(endpoint_body, places))
    created = f"2026-11-21T12:{piece.created // 60:02d}:{piece.created % 60:02d}Z"
    owner = f'"ownerReferences":[{{"kind":"Service","name":"{service.name}","uid":"{piece.owner}"}}],'
    return (
        f'{{"kind":"EndpointSlice","metadata":{{"name":"{piece.name}","namespace":"{service.namespace}",'
        f'"resourceVersion":"{rv}","creationTimestamp":"{created}",'
        f'{owner if piece.owner else ""}"labels":{{"kubernetes.io/service-name":"{service.name}"}}}},'
        f'"addressType":"IPv4","endpoints":{f"[{endpoints}]" if places or rv % 2 else "null"},'
        f'"ports":[{{"name":"hazelcast","port":4000}}]}}'
    ).encode()


def endpoint_body(place: Place) -> str:
    target = f'"targetRef":{{"kind":"Pod","name":"pod-{place.uid}","uid":"{place.uid}"}}' if place.uid else ""
    unset = place.ready and place.serving and not place.terminating and not place.uid
    conditions = (
        f'"conditions":{{"ready":{str(place.ready).lower()},"serving":{str(place.serving).lower()},'
        f'"terminating":{str(place.terminating).lower()}}}'
    )
    return f'{{"addresses":["{place.address}"]{"" if unset else "," + conditions}{"," + target if target else ""}}}'


def endpoints_body(service: Service, places: tuple[Place, ...], rv: int) -> bytes:
    """A v1 Endpoints object's JSON."""

    def addresses(ready: bool) -> str:
        return ",".join(
            f'{{"ip":"{place.address}","targetRef":{{"kind":"Pod","name":"pod-{place.uid}","uid":"{place.uid}"}}}}'
            for place in places
            if place.ready == ready
        )

    subsets = (
        f'[{{"addresses":[{addresses(True)}],"notReadyAddresses":[{addresses(False)}],"ports":[{{"port":4000}}]}}]'
    )
    return (
        f'{{"kind":"Endpoints","metadata":{{"name":"{service.name}","namespace":"{service.namespace}",'
        f'"resourceVersion":"{rv}"}},"subsets":{subsets if places else "null"}}}'
    ).encode()
