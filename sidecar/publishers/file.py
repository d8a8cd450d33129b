"""`--out`: one file for each, rendered from the newest list."""

from membership.files import FileWriter
from membership.render import FORMATS
from membership.session import Membership, Publication
from sidecar.publishers.worker import Published, Worker


class FilePublisher(Worker):
    """One `--out`: renders each newest list and writes it, unless it is empty."""

    def __init__(
        self, name: str, format: str, writer: FileWriter, membership: Membership, published: Published
    ) -> None:
        super().__init__(name, membership, self._write, published)
        self._render = FORMATS[format]
        self._writer = writer
        writer.remove_leftovers()

    def _write(self, publication: Publication) -> bool:
        content = self._render(publication.snapshot)
        if content is None:
            return False
        self._writer.write(content)
        return True
