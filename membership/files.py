"""Files that are replaced whole: whoever reads one sees the content before or after, never a part."""

import logging
import os
import stat
from pathlib import Path

from membership.copying import CopyWatch, OpenFolders, identify
from membership.errors import PublishError

log = logging.getLogger(__name__)

FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""The reader's uid is seldom ours: WSO2 images run as 802, 10001 or 10802, usually without an fsGroup."""
TEMPORARY = ".membership-"


def read_kept(path: Path) -> bytes:
    """What an earlier run wrote there. Raises OSError, also for a named pipe, which would be waited for."""
    if path.is_fifo():
        raise OSError("it is no regular file")
    return path.read_bytes()


def find_mount(path: Path) -> tuple[int, str]:
    """Which file system a folder is on, or the nearest one above it that exists, and by which mount it is seen.

    A file is renamed within one of both only: not from one subPath of a volume to another (EXDEV,
    https://man7.org/linux/man-pages/man2/rename.2.html). Systems that do not tell their mounts have "" for it.
    """
    folder = os.path.abspath(path)
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    descriptor = os.open(folder, getattr(os, "O_PATH", os.O_RDONLY))
    try:
        facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text().split()
        mount = facts[facts.index("mnt_id:") + 1]
    except (OSError, ValueError):
        mount = ""
    finally:
        os.close(descriptor)
    return os.stat(folder).st_dev, mount


class FileWriter:
    """Keeps one file equal to what it is given.

    With `staging`, for temporary files, the file is taken to be in a tree that others copy with `cp -R`: it is replaced
    when no copy is between looking at it and opening it (membership/copying.py), which may take 1 s. Writers of one
    process share `folders`.
    """

    def __init__(self, target: Path, staging: Path | None, folders: OpenFolders | None = None) -> None:
        self._target = Path(os.path.abspath(target))
        self._staging = Path(os.path.abspath(staging)) if staging else self._target.parent
        self._prefix = f"{TEMPORARY}{self._target.name}-"
        self._folders = (folders or OpenFolders()) if staging else None
        self._copies: CopyWatch | None = None

    def write(self, content: bytes) -> None:
        """Make the file hold `content`; unchanged bytes are not rewritten. Raises PublishError, the file untouched."""
        try:
            if self._holds(content):
                return
            try:
                self._replace(content)
            except FileNotFoundError:
                for folder in (self._target.parent, self._staging):
                    _make_folder(folder)
                self._replace(content)
        except OSError as error:
            raise PublishError(f"cannot write {self._target}: {error.strerror or error}") from error

    def remove_leftovers(self) -> None:
        """Remove temporary files of an earlier run that was killed while writing."""
        try:
            for leftover in self._staging.glob(f"{self._prefix}*"):
                leftover.unlink(missing_ok=True)
        except OSError:
            pass  # it costs a few bytes; a folder we cannot write to is told by the next write

    def _holds(self, content: bytes) -> bool:
        """Whether it is there, as it should be."""
        try:
            found = os.lstat(self._target)
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(found.st_mode):
            raise PublishError(f"cannot write {self._target}: it is a symbolic link; name the file it points to")
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise PublishError(f"cannot write {self._target}: it is {kind}; name a file")
        try:
            if found.st_size != len(content) or self._target.read_bytes() != content:
                return False
            if stat.S_IMODE(found.st_mode) != FILE_MODE:
                os.chmod(self._target, FILE_MODE)
            return True
        except PermissionError:
            return False  # another uid's: it can be replaced all the same

    def _replace(self, content: bytes) -> None:
        """By the system's calls alone: tempfile and io are made for more cases, and the processor forgets them between
        two changes. In memory a file of 100 members took 0.46 ms with them, 60 ms after the one before; now 0.33.
        Raises FileNotFoundError where a folder is missing."""
        if self._folders:
            self._watch_copies(self._folders)
        temporary = f"{self._staging}/{self._prefix}{os.urandom(8).hex()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try:
                written = 0
                while written < len(content):
                    written += os.write(descriptor, content[written:] if written else content)
                os.fchmod(descriptor, FILE_MODE)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if self._copies:
                self._copies.rename(temporary, str(self._target))
            else:
                os.rename(temporary, self._target)
        except BaseException:
            os.unlink(temporary)
            raise
        if self._folders:
            os.fsync(self._folders.open(self._target.parent))
        else:
            _sync_folder(self._target.parent)

    def _watch_copies(self, folders: OpenFolders) -> None:
        """From the first write on, and anew when the folder was replaced."""
        parent = self._target.parent
        folders.open(parent)  # before anybody watches it
        if self._copies and self._copies.folder != identify(parent):
            self._copies.close()
            self._copies = None
        if self._copies is None:
            try:
                self._copies = CopyWatch(self._target)
            except OSError as error:  # such as inotify instances that are used up
                log.debug("%s is replaced without regard to copies: %s", self._target, error)


def _make_folder(folder: Path) -> None:
    """Like mkdir -p, but readable for others whatever the umask says."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    os.chmod(folder, FOLDER_MODE)


def _sync_folder(folder: Path) -> None:
    """After a power loss the rename is there, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
