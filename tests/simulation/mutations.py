"""Mistakes that the product does not make, put into it on purpose: a simulation that misses one checks too little.

A mutation is an edit of a module's source, whose functions then get the code of the edited ones, in place and for a
while; or another rule in the table of policy.py. An edit that does not fit the source any more is an error.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType, ModuleType

from membership.policy import RULES, Cause, Delay, Rule, Step
from tests.simulation.schedule import generate
from tests.simulation.world import run


@dataclass(frozen=True)
class Edit:
    """In `module` of membership, `old`, which is there once, becomes `new`."""

    mistake: str
    module: str
    old: str
    new: str

    @property
    def fits(self) -> int:
        """How often; once is right."""
        return inspect.getsource(importlib.import_module(f"membership.{self.module}")).count(self.old)

    @contextmanager
    def made(self) -> Iterator[None]:
        module = importlib.import_module(f"membership.{self.module}")
        source = inspect.getsource(module)
        if self.fits != 1:
            raise LookupError(f"{self.mistake!r} fits {self.fits} times into {module.__name__}")
        edited = ModuleType(module.__name__)
        edited.__file__ = module.__file__
        exec(compile(source.replace(self.old, self.new), str(module.__file__), "exec"), edited.__dict__)
        theirs = functions(edited)
        changed = [(ours, ours.__code__, theirs[name].__code__) for name, ours in functions(module).items()]
        changed = [(ours, before, after) for ours, before, after in changed if before != after]
        if not changed:
            raise LookupError(f"{self.mistake!r} changes no function of {module.__name__}")
        for function, _, after in changed:
            function.__code__ = after
        try:
            yield
        finally:
            for function, before, _ in changed:
                function.__code__ = before


@dataclass(frozen=True)
class Row:
    """Another rule for a cause."""

    mistake: str
    row: tuple[Step, Cause]
    rule: Rule

    @contextmanager
    def made(self) -> Iterator[None]:
        before = RULES[self.row]
        RULES[self.row] = self.rule
        try:
            yield
        finally:
            RULES[self.row] = before


Mutation = Edit | Row


def functions(module: ModuleType) -> dict[str, FunctionType]:
    """All functions and methods of a module's own, by qualified name."""
    found: dict[str, FunctionType] = {}

    def take(value: object) -> None:
        for part in (value, *(getattr(value, name, None) for name in ("fget", "__func__", "__wrapped__"))):
            if isinstance(part, FunctionType) and part.__module__ == module.__name__:
                found[part.__qualname__] = part

    for value in list(vars(module).values()):
        take(value)
        if inspect.isclass(value) and value.__module__ == module.__name__:
            for member in list(vars(value).values()):
                take(member)
    return found


def caught_by(
    mutation: Mutation, seeds: range, tell: Callable[[int], None] = lambda seed: None
) -> tuple[int, str] | None:
    """The first of the seeds that finds the mistake, and what it says; None where none does."""
    with mutation.made():
        for seed in seeds:
            tell(seed)
            report = run(generate(seed))
            if report.failure is not None:
                return seed, str(report.failure)
    return None


REFLECTOR = (
    Row("watch again from an expired version", (Step.WATCH, Cause.EXPIRED), Rule(Step.WATCH, Delay.BACKOFF)),
    Row("list from an expired version", (Step.WATCH, Cause.EXPIRED), Rule(Step.LIST, Delay.EAGER)),
    Row("list again from a too large version", (Step.LIST, Cause.TOO_LARGE), Rule(Step.LIST, Delay.EAGER)),
    Edit(
        "read on after a bad line",
        "follower",
        "events.append(stream.decode(frame))",
        "try:\n"
        "                        events.append(stream.decode(frame))\n"
        "                    except ApiError:\n"
        "                        pass",
    ),
    Edit('trust version "0"', "reflector", 'version = "" if self._consistent', 'version = "0" if self._consistent'),
    Edit(
        "drop a bookmark's version",
        "reflector",
        "self.resource_version = event.resource_version\n        if event.item is None:",
        "if event.item is not None:\n            self.resource_version = event.resource_version\n        else:",
    ),
    Edit(
        "watch from the last list's version, whatever came since",
        "reflector",
        "        self.resource_version = event.resource_version\n",
        "",
    ),
    Edit(
        "take a list that is older than asked for",
        "reflector",
        "if asked.resource_version or overtaken:",
        "if overtaken:",
    ),
    Edit(
        "empty the store on an error",
        "reflector",
        "cause = CAUSES[type(error)]\n",
        "cause = CAUSES[type(error)]\n        self._store.replace(())\n",
    ),
    Edit("never back off", "reflector", "return self._random.uniform(0.0, ceiling)", "return 0.0"),
    Edit("every retry at once", "reflector", "-EAGER_GAP) >= EAGER_GAP", "-EAGER_GAP) >= 0"),
    Edit(
        "a stream that ends at once ends well", "reflector", "            cause = Cause.SHORT\n", "            pass\n"
    ),
    Edit(
        "obey any Retry-After",
        "reflector",
        "min(max(retry_after, 0.0), RETRY_AFTER_LIMIT)",
        "max(retry_after, 0.0)",
    ),
    Edit("wait for ever on a silent stream", "follower", "stream.read(proved_at + silence)", "stream.read(1e9)"),
    Edit(
        "count the age from a list's answer",
        "reflector",
        "self._prove(sent_at)\n        self._healthy",
        "self._prove(now)\n        self._healthy",
    ),
    Edit(
        "count the age from a verification's answer",
        "reflector",
        "self._prove(sent_at)\n        restored",
        "self._prove(now)\n        restored",
    ),
    Edit(
        "an error proves the list",
        "reflector",
        "before, self.problem =",
        "self._prove(now)\n        before, self.problem =",
    ),
    Edit(
        "a bookmark proves nothing",
        "reflector",
        "self._prove(now)\n        if self._over",
        "if self._over",
    ),
    Edit(
        "never verify the stream",
        "reflector",
        "self.verify_at = now + self._policy.relist",
        "self.verify_at = 1e9 * self._policy.relist",
    ),
    Edit("ignore the list of a restored server", "reflector", "elif behind:", "if behind:"),
    Edit(
        "do not count a restore",
        "reflector",
        "if restored:\n            self.restored += 1",
        "if restored:\n            pass",
    ),
    Edit(
        "count a restore twice",
        "reflector",
        "if restored:\n            self.restored += 1",
        "if restored:\n            self.restored += 2",
    ),
    Edit("take a verification that the stream has overtaken", "reflector", "elif behind:", "elif False:"),
    Edit(
        "take events that a verification has overtaken",
        "reflector",
        "self._overtaken_by) is False",
        "self._overtaken_by) == 2",
    ),
    Edit("go on with the stream of a restored server", "reflector", "reopen = restored is not False", "reopen = False"),
    Edit(
        "open a stream from a version before the restore",
        "reflector",
        "return not newer(asked.resource_version, self.resource_version)",
        "return True",
    ),
    Edit("read on where a verification replaced the list", "follower", "if self._stream is not stream:", "if False:"),
    Edit(
        "back off after our own cut", "follower", "Cause.CUT if self._stream is stream else Cause.RESTORED", "Cause.CUT"
    ),
    Edit("read the clock after the lock", "follower", "opened(action, accepted_at)", "opened(action, shared.clock())"),
    Edit(
        "never ask for slices again",
        "reflector",
        "self._slices_again_at = again",
        "self._slices_again_at = again + 1e9",
    ),
    Edit("never watch again", "reflector", "self._watch_again_at = again", "self._watch_again_at = again + 1e9"),
)
WIRE = (
    Edit(
        "an unknown event is a bookmark",
        "wire.codec",
        "if known is None:",
        "if known is None:\n"
        "        return Event(EventType.BOOKMARK, _version(codec.bookmark(raw)), None)\n"
        "    if False:",
    ),
    Edit("any list is a list of slices", "wire.codec", "if found != expected:", "if False:"),
    Edit(
        "a list needs no version",
        "wire.codec",
        'if not metadata.resource_version:\n        raise BadAnswer(f"the {res',
        'if False:\n        raise BadAnswer(f"the {res',
    ),
    Edit("damaged names of fields are unknown fields", "wire.json", 'str(data, "utf-8")', "pass"),
    Edit("compare versions as text", "wire.objects", "else ours > others", "else version > than"),
    Edit(
        "410 is like any other error",
        "wire.shapes",
        "code = status.code or _CODES.get(status.reason, code)",
        "code = 500 if status.code == 410 else status.code or _CODES.get(status.reason, code)",
    ),
    Edit(
        "drop the rest of a line whose end has not come",
        "wire.framing",
        "self._tail, self._tail_size = [rest], len(rest)",
        "self._tail, self._tail_size = [], 0",
    ),
    Edit(
        "drop the rest of a frame whose end has not come",
        "wire.framing",
        "self._keep(data[at:], _PREFIX + size)",
        "self._keep(data[:0], _PREFIX)",
    ),
    Edit(
        "an endpoint that has changed is what it was",
        "wire.memory",
        "changed = tuple([known.get(value) or decode(value) for value in values])",
        "changed = before.endpoints[first:last]",
    ),
    Edit("no Retry-After", "kube", "error.retry_after = after", "pass"),
)
MEMBERS = (
    Edit(
        "a list does not replace",
        "store",
        "before, self._items = self._items, {}",
        "before, self._items = self._items, dict(self._items)",
    ),
    Edit(
        "deletions are ignored",
        "store",
        "if event.type is EventType.DELETED or not item.slices:",
        "if not item.slices:",
    ),
    Edit("an unchanged version means an unchanged slice", "store", "if before == item:", "if before is not None:"),
    Edit(
        "the older of two slices counts",
        "members",
        "key=lambda reading: reading.order)\n        decision =",
        "key=lambda reading: -reading.order)\n        decision =",
    ),
    Edit(
        "slices of the deleted Service count",
        "members",
        'outdated = reading.slice.owner_uid not in ("", owner)',
        "outdated = False",
    ),
    Edit(
        "the worse of two pods has the address",
        "members",
        "if _worth(candidate) >= _worth(rival[2]):",
        "if _worth(candidate) < _worth(rival[2]):",
    ),
    Edit("members that terminate stay", "candidates", "if member.terminating and (", "if False and ("),
    Edit("ready endpoints only", "candidates", "if rules.ready_only and not member.serving:", "if not member.serving:"),
    Edit("no removal hold", "roster", "now + HOLD)", "now)"),
    Edit("hold what was seen terminating", "roster", " and member.uid not in self._doomed:", ":"),
    Edit("hold what a list does not name", "roster", "if listed or not self.known:", "if not self.known:"),
    Edit("hold an address that another pod has", "roster", " if taken.isdisjoint(each[0].addresses)}", "}"),
    Edit(
        "a change leaves who is gone",
        "members",
        "gone, come = _differing(were, are)",
        "gone, come = set(), _differing(were, are)[1]",
    ),
    Edit(
        "a change leaves who is new",
        "members",
        "gone, come = _differing(were, are)",
        "gone, come = _differing(were, are)[0], set()",
    ),
    Edit(
        "a change never looks at the others",
        "keys",
        "if key in more or key in self._base and key not in away:",
        "if False:",
    ),
    Edit("a change never tells who vanished", "members", "if candidate.identity not in present:", "if False:"),
    Edit("hold for ever", "roster", "if until <= now]", "if until <= now - 1e9]"),
)
FOUND = (
    # What the simulation has found, put back in.
    Edit(
        "who terminates and is gone in one read is held",
        "follower",
        "listed=whole_truth, passed=passed)",
        "listed=whole_truth)",
    ),
    Edit(
        "a list that the stream has overtaken ends what is held",
        "follower",
        "return self._reflector.resource_version == listing.resource_version",
        "return True",
    ),
    Edit(
        "count a restore that a verification has counted",
        "reflector",
        "overtaken = self.resource_version != asked.held or self._verified_at > sent_at",
        "overtaken = False",
    ),
    Edit(
        "a verification goes back behind a newer list",
        "reflector",
        " or self._listed_at > sent_at:",
        ":",
    ),
)
SESSION = (
    Edit("publish before every namespace was listed", "session", "self._synced = all(", "self._synced = any("),
    Edit("the timekeeper sleeps on", "session", "if self._next_due() < self._sleeps_until:", "if False:"),
    Edit("a generation for each step", "session", "if self._generation and list_ == self._list:", "if False:"),
    Edit("the youngest namespace's age", "session", "return max([math.inf if", "return min([math.inf if"),
    Edit("no pace", "pace", "return max((until - now for until in over), default=0.0)", "return 0.0"),
    Edit("six requests in a second", "pace", "len(self._leaves) - LIMIT + 1", "len(self._leaves) - LIMIT"),
    Edit(
        "a request's second begins when it leaves",
        "pace",
        "return arrived_at + WINDOW",
        "return self.given_at + WINDOW",
    ),
    Edit(
        "the gate does not wait for a stable list",
        "gate",
        "now - stable_since >= self._rules.stable:",
        "now >= stable_since:",
    ),
    Edit(
        "a changed list does not begin the gate's time anew",
        "gate",
        "self._complete_since is None or addresses != self._addresses",
        "self._complete_since is None",
    ),
    Edit("any member is an established one", "gate", "in _serving(snapshot) if own", "in snapshot.members if own"),
    Edit("the gate forgets the own address", "gate", "if own is not None and own not in addresses:", "if False:"),
    Edit(
        "the gate does not open when its time is up",
        "gate",
        'self._rules.on_timeout == "start" and self._generation',
        "False",
    ),
)
MUTATIONS: tuple[Mutation, ...] = (*REFLECTOR, *WIRE, *MEMBERS, *FOUND, *SESSION)
