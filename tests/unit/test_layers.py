"""The layer rules of design.md, read from the source: who may import whom, and who may touch the world.

Pure files know no socket, thread, clock, chance, environment, file or log: what they need is an argument.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for package in ("membership", "sidecar")
    for path in sorted((ROOT / package).rglob("*.py"))
}
_PURE_NAMES = (
    "store",
    "candidates",
    "members",
    "keys",
    "roster",
    "book",
    "policy",
    "reflector",
    "gate",
    "pace",
    "model",
    "errors",
    "names",
    "quantity",
    "verify",
    "push",
    "static",
    "history",
    "jwt",
    "doctor/findings",
    "doctor/catalogue",
    "doctor/claims",
    "doctor/carbon_file",
)
PURE = sorted(
    [f"membership/{name}.py" for name in _PURE_NAMES]
    + [name for name in FILES if name.startswith(("membership/render/", "membership/wire/", "membership/wso2/"))]
)
PURE_LIBRARIES = frozenset(
    "base64 bisect collections dataclasses datetime decimal enum functools heapq html io ipaddress "
    "itertools json math msgspec operator re string tomllib traceback types typing".split()
)
FORMAT_LIBRARIES = frozenset({"jinja2", "lxml", "tomlkit", "xml", "yaml"})
"""For the formats that need them, in render/ and wso2/ only."""
ENVIRONMENT_READERS = {"membership/settings.py", "membership/access.py"}


def module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module(path) for path in FILES}


def imports(path: str) -> Iterator[str]:
    """Every module that is imported, wherever in the file; what is imported from a package may be a module itself."""
    package = path.split("/")[:-1]
    for node in ast.walk(FILES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source


def dotted(node: ast.AST) -> str:
    """`os.environ.get` of the expression that says so."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def called(tree: ast.AST) -> set[str]:
    return {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def named(tree: ast.AST) -> set[str]:
    """All names and attributes that are used, and what is imported from modules."""
    found = {dotted(node) for node in ast.walk(tree) if isinstance(node, (ast.Name, ast.Attribute))}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_files_that_are_held_exist() -> None:
    assert not [path for path in PURE if path not in FILES]
    assert len(FILES) > 40 and "membership/render/__init__.py" in PURE


@pytest.mark.parametrize("path", PURE)
def test_pure_files_do_not_read_the_clock_by_the_library_of_dates(path: str) -> None:
    names = {node.attr for node in ast.walk(FILES[path]) if isinstance(node, ast.Attribute)}
    assert not names & {"now", "utcnow", "today"}


@pytest.mark.parametrize("path", PURE)
def test_pure_files_import_pure_files_and_pure_libraries(path: str) -> None:
    pure = {module(name) for name in PURE}
    libraries = PURE_LIBRARIES | (
        FORMAT_LIBRARIES if path.startswith(("membership/render/", "membership/wso2/")) else set()
    )
    for name in imports(path):
        if path == "membership/reflector.py" and name == "random":
            continue  # for its type; the next test holds that nothing else is taken from it
        if path == "membership/wire/protobuf.py" and name == "datetime":
            continue  # for arithmetic; the test after the next holds that no clock is read
        assert name in pure or name.split(".")[0] in libraries, name


def test_the_reflector_takes_nothing_but_a_type_from_random() -> None:
    names = named(FILES["membership/reflector.py"])
    assert {name for name in names if name.startswith("random.")} == {"random.Random"}
    assert "Random" not in called(FILES["membership/reflector.py"])


def test_the_codec_reads_no_clock() -> None:
    names = {name.rpartition(".")[2] for name in named(FILES["membership/wire/protobuf.py"])}
    assert not names & {"now", "utcnow", "today"}


@pytest.mark.parametrize("path", PURE)
def test_pure_files_open_nothing_and_print_nothing(path: str) -> None:
    assert not called(FILES[path]) & {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("membership/")])
def test_the_library_does_not_know_the_sidecar(path: str) -> None:
    assert not [name for name in imports(path) if name.split(".")[0] == "sidecar"]


@pytest.mark.parametrize("path", [path for path in FILES if not path.startswith("membership/testing/")])
def test_the_product_does_not_know_its_fake(path: str) -> None:
    assert not [name for name in imports(path) if name.startswith("membership.testing")]


@pytest.mark.parametrize("path", FILES)
def test_only_settings_and_access_read_the_environment(path: str) -> None:
    forbidden = {"os.environ", "os.getenv", "os.putenv", "os.environb", "os.path.expandvars"}
    assert path in ENVIRONMENT_READERS or not named(FILES[path]) & forbidden


@pytest.mark.parametrize("path", [path for path in FILES if not path.endswith("__main__.py")])
def test_only_main_files_exit_and_install_signals(path: str) -> None:
    tree = FILES[path]
    ends = {"sys.exit", "exit", "quit", "os._exit", "os.abort", "SystemExit"}
    signals = {"signal.signal", "signal.set_wakeup_fd", "signal.setitimer", "signal.alarm"}
    assert not called(tree) & (ends | signals)
    assert not [name for name in called(tree) if name.endswith(".add_signal_handler")]
    assert not [
        node for node in ast.walk(tree) if isinstance(node, ast.Raise) and dotted(node.exc or node) == "SystemExit"
    ]


@pytest.mark.parametrize("path", FILES)
def test_only_one_file_knows_the_paths_of_hazelcast(path: str) -> None:
    texts = {node.value for node in ast.walk(FILES[path]) if isinstance(node, ast.Constant)}
    asked = [text for text in texts if isinstance(text, str) and text.startswith("/hazelcast/")]
    assert not asked or path == "membership/hazelcast_rest.py"


DOCTOR_AREAS = [path for path in FILES if path.startswith("membership/doctor/") and path not in PURE]


@pytest.mark.parametrize("path", DOCTOR_AREAS)
def test_an_area_of_the_doctor_does_not_know_the_command(path: str) -> None:
    assert not {"membership.cli", "membership.doctor_command", "click"} & set(imports(path))


def test_who_is_well_does_not_pay_for_the_doctor() -> None:
    """Its modules are imported when it is called, not by every start of the command."""
    top = [node.module or "" for node in FILES["membership/doctor_command.py"].body if isinstance(node, ast.ImportFrom)]
    assert top and not [name for name in top if name.startswith("membership.doctor.")]
    others = [path for path in FILES if not path.startswith("membership/doctor")]
    assert not [path for path in others if any(name.startswith("membership.doctor.") for name in imports(path))]


@pytest.mark.parametrize("path", DOCTOR_AREAS)
def test_the_doctor_changes_nothing(path: str) -> None:
    writes = set(
        "write_text write_bytes mkdir makedirs unlink rename chmod chown rmdir touch symlink_to rmtree".split()
    )
    assert not {call.rpartition(".")[2] for call in called(FILES[path])} & writes
    assert not called(FILES[path]) & {"open", "os.open", "os.replace", "os.remove"}


# Module-level state: a table may be a dict or a list, but it is a constant by name and nothing ever writes to it.

MUTABLE_CALLS = {
    "list",
    "dict",
    "set",
    "deque",
    "Counter",
    "defaultdict",
    "OrderedDict",
    "bytearray",
    "itertools.count",
}
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
WRITES = set(
    "append add update clear pop popitem extend insert remove discard setdefault appendleft sort reverse".split()
)


def mutables(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        function = value.func if isinstance(value, ast.Call) else None
        if isinstance(function, ast.Subscript):
            function = function.value
        if isinstance(value, MUTABLE) or function is not None and dotted(function) in MUTABLE_CALLS:
            yield from (dotted(target) for target in targets)


def written(tree: ast.AST) -> Iterator[str]:
    """The last part of every name whose value is changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield dotted(node.value).rpartition(".")[2]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            yield dotted(node.func.value).rpartition(".")[2]
        elif isinstance(node, ast.AugAssign):
            yield dotted(node.target).rpartition(".")[2]


@pytest.mark.parametrize("path", FILES)
def test_there_is_no_mutable_state_in_modules(path: str) -> None:
    tree = FILES[path]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for name in mutables(tree):
        assert name == "__all__" or name.isupper(), f"{name} is no constant"
        writers = [other for other, source in FILES.items() if name in written(source)]
        assert name == "__all__" or not writers, f"{name} is changed in {writers}"
