"""`--out`: one file for each, rendered from the newest list."""

from dataclasses import replace

from membership.files import FileWriter
from membership.outputs import Output
from membership.render import FORMATS, Setup
from membership.session import Membership, Publication
from sidecar.publishers.worker import NotYet, Published, Worker


class FilePublisher(Worker):
    """One `--out`: renders each newest list and writes it, unless it is empty.

    A source that cannot be used is a failure like any other: it is read and tried again, until it can.
    """

    def __init__(
        self, output: Output, setup: Setup, writer: FileWriter, membership: Membership, published: Published
    ) -> None:
        super().__init__(output.name, membership, self._write, published)
        self._output = output
        self._setup = setup
        self._writer = writer
        writer.remove_leftovers()

    def _write(self, publication: Publication) -> bool:
        setup = self._setup
        if FORMATS[self._output.format].takes_services:
            if publication.definitions is None:
                raise NotYet("the Services were not listed yet")
            setup = replace(setup, definitions=publication.definitions)
        content = self._output.render(publication.snapshot, setup)
        if content is None:
            return False
        self._writer.write(content)
        return True
