"""An https server with files to download, whose certificate is of an authority of its own."""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme


@dataclass
class Shop:
    """An https server with files, as in a Maven repository."""

    url: str
    authority: Path
    files: dict[str, bytes] = field(default_factory=dict)
    """By path."""
    moved: dict[str, str] = field(default_factory=dict)
    """Path to address, as a redirect."""
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_shop(host: str, folder: Path) -> Iterator[Shop]:
    """One that listens on `host`; its authority's certificate is put into `folder`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    ca_file = folder / "shop-ca.crt"
    authority.cert_pem.write_to_path(str(ca_file))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            content = found.files.get(self.path, b"")
            self.send_response(301 if self.path in found.moved else 200 if content else 404)
            if self.path in found.moved:
                self.send_header("Location", found.moved[self.path])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Not to stderr."""

    server = http.server.ThreadingHTTPServer((host, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Shop(f"https://{host}:{server.server_port}", ca_file)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
