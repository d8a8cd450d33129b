"""files: what `--out` keeps current, whether the server can read it, and what its entrypoint will copy."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from membership.doctor.catalogue import find
from membership.doctor.findings import Finding
from membership.doctor.situation import Limit, Situation, describe_file
from membership.errors import RenderError
from membership.files import TEMPORARY, find_mount
from membership.model import Snapshot
from membership.outputs import Output, needs_services
from membership.wso2.profiles import Profile

SHOWN = 20
"""Files of a tree that are named at most."""


def examine_files(situation: Situation, limit: Limit) -> Iterator[Finding]:
    outputs, profile = situation.reading.outputs, situation.reading.profile
    if not outputs:
        yield find("files.none")
        return
    trees = list(dict.fromkeys(tree for output in outputs if (tree := find_tree(output, profile)) is not None))
    whole = []
    for output in outputs:
        found = list(_examine_target(output, find_tree(output, profile)))
        yield from found
        if not found:
            whole.append(output)
    yield from _examine_staging(situation.staging, outputs, trees)
    for tree in trees:
        yield from _examine_tree(tree, profile)
    if whole:
        snapshot = situation.wait_list(limit)
        for output in whole:
            yield from _compare(output, snapshot, situation)


def find_tree(output: Output, profile: Profile | None) -> Path | None:
    """The folder that is copied over the product's home, where the target is a file of it."""
    below = (
        profile.path(output.format)
        if profile is not None and output.format in ("deployment-toml", "axis2-xml", "hazelcast-xml")
        else None
    )
    if below is None or not output.target.as_posix().endswith(f"/{below}"):
        return None
    return output.target.parents[below.count("/")]


def _examine_target(output: Output, tree: Path | None) -> Iterator[Finding]:
    target = output.target
    try:
        found = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        yield find("files.absent", f"{output.name}: {_describe_folder(target.parent)}")
        yield from _examine_folder(target)
        return
    except OSError as error:
        yield find("files.mode", f"{target}: {error.strerror}")
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "a folder" if stat.S_ISDIR(found.st_mode) else "no file"
        yield find("files.not-a-file", f"{target} is {kind}")
        return
    closed = [] if found.st_mode & stat.S_IROTH else [describe_file(target, time.time())]
    for folder in target.parents:
        mode = os.stat(folder).st_mode
        if mode & (stat.S_IROTH | stat.S_IXOTH) != stat.S_IROTH | stat.S_IXOTH:
            closed.append(f"{folder}: mode {mode & 0o7777:04o}")
        if folder == (tree or target.parent):
            break  # above it the server's container has folders of its own
    if closed:
        yield find("files.mode", "\n".join(closed))
    yield from _examine_folder(target)


def _examine_folder(target: Path) -> Iterator[Finding]:
    """The nearest folder that there is: the sidecar makes those below it."""
    folder = next((folder for folder in target.parents if os.path.lexists(folder)), Path("/"))
    if not folder.is_dir():
        yield find("files.unwritable", f"{folder} is no folder")
        return
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    if read_only or not os.access(folder, os.W_OK | os.X_OK):
        found = os.stat(folder)
        why = "read-only file system" if read_only else f"mode {found.st_mode & 0o7777:04o}, uid {found.st_uid}"
        yield find("files.unwritable", f"{folder}: {why}; we are uid {os.geteuid()}")


def _examine_staging(staging: Path | None, outputs: tuple[Output, ...], trees: list[Path]) -> Iterator[Finding]:
    if staging is None:
        return
    inside = [tree for tree in trees if Path(os.path.abspath(staging)).is_relative_to(os.path.abspath(tree))]
    if inside:
        yield find("files.staging", f"{staging} is inside {inside[0]}, which is copied")
    mount = find_mount(staging)
    for output in outputs:
        if find_mount(output.target.parent) != mount:
            yield find("files.staging", f"{staging} is on another file system than {output.target}")


def _examine_tree(tree: Path, profile: Profile | None) -> Iterator[Finding]:
    if not tree.is_dir():
        return
    names = sorted(path.name for path in tree.iterdir())
    if names and all(name.startswith(".") for name in names):
        yield find("files.dots", f"{tree}: {', '.join(names)}")
    files, temporary, dangling = [], [], []
    for folder, folders, found in os.walk(tree, followlinks=False):
        for name in sorted(found + [one for one in folders if os.path.islink(os.path.join(folder, one))]):
            path = Path(folder, name)
            if not path.exists():
                dangling.append(f"{path} -> {os.readlink(path)}")
            elif name.startswith(TEMPORARY):
                temporary.append(str(path))
            else:
                files.append(path)
    if temporary:
        yield find("files.temporary", "\n".join(temporary[:SHOWN]))
    if dangling:
        yield find("files.dangling", "\n".join(dangling[:SHOWN]))
    now = time.time()
    lines = [f"{describe_file(path, now)} -> HOME/{path.relative_to(tree)}" for path in files[:SHOWN]]
    if files:
        more = [f"and {len(files) - SHOWN} more"] if len(files) > SHOWN else []
        yield find(
            "files.copies",
            "\n".join([f"{tree} over the home of {profile.name if profile else 'the server'}", *lines, *more]),
        )


def _compare(output: Output, snapshot: Snapshot, situation: Situation) -> Iterator[Finding]:
    written = describe_file(output.target, time.time())
    if needs_services((output,)):
        yield find("files.ok", f"{written}; not compared, for it is made of Services")
        return
    if output.format == "template":
        yield find("files.ok", f"{written}; not compared, for a template may tell what is the sidecar's alone")
        return
    try:
        wanted = output.render(snapshot, situation.settings.setup)
    except RenderError as error:
        yield find("files.unrendered", f"{output.name}: {error}")
        return
    if wanted is not None and output.target.read_bytes() != wanted:
        yield find("files.outdated", f"{written}; the list: {', '.join(snapshot.endpoints[:SHOWN])}")
    else:
        yield find("files.ok", f"{output.format}: {written}")


def _describe_folder(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder} either"
    return f"{folder} has {', '.join(sorted(os.listdir(folder))[:SHOWN]) or 'nothing'}"
