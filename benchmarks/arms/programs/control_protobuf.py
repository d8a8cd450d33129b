"""The floor for who reads protobuf: as control_socket.py, in the encoding that ours and client-go ask for."""

import time

from benchmarks.arms.programs.control_socket import open_watch
from benchmarks.arms.programs.report import run, tell

EVENT_OBJECT, RAW, METADATA, ENDPOINTS, NAME, VERSION = 2, 1, 1, 2, 1, 6
"""Fields of WatchEvent, RawExtension, EndpointSlice and ObjectMeta. A runtime.Unknown has its object in field 2."""


def main() -> None:
    with open_watch("application/vnd.kubernetes.protobuf;stream=watch") as sock:
        slices: dict[bytes, int] = {}
        rest, body = b"", b""
        while got := sock.recv(256 * 1024):
            ns = time.monotonic_ns()
            rest += got
            if rest.startswith(b"HTTP/1.1 "):
                head, end, behind = rest.partition(b"\r\n\r\n")
                if not end:
                    continue
                if not head.startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError(f"{rest!r}")
                rest = behind
            new, rest = unchunk(rest)
            body += new
            while len(body) >= 4 and len(body) >= (size := 4 + int.from_bytes(body[:4], "big")):
                frame, body = body[4:size], body[size:]
                event = fields(frame)
                if event[1][0] != b"BOOKMARK":
                    object = fields(fields(fields(event[EVENT_OBJECT][0])[RAW][0][4:])[2][0])
                    metadata = fields(object[METADATA][0])
                    slices[metadata[NAME][0]] = len(object.get(ENDPOINTS, ()))
                    tell(ns, version=metadata[VERSION][0].decode(), endpoints=sum(slices.values()))


def unchunk(data: bytes) -> tuple[bytes, bytes]:
    """What whole chunks hold, and what is left."""
    body, at = b"", 0
    while (line := data.find(b"\r\n", at)) >= 0:
        end = line + 2 + int(data[at:line], 16)
        if len(data) < end + 2:
            break
        body, at = body + data[line + 2 : end], end + 2
    return body, data[at:]


def fields(message: bytes) -> dict[int, list[bytes]]:
    """Strings and messages of a protobuf message by number; all else is skipped."""
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        value, at = varint(message, at)
        if tag & 7 == 2:
            found.setdefault(tag >> 3, []).append(message[at : at + value])
            at += value
        elif tag & 7:
            raise RuntimeError(f"a field of type {tag & 7} is not read")
    return found


def varint(message: bytes, at: int) -> tuple[int, int]:
    """The number there, and where it ends."""
    value = shift = 0
    while message[at] > 127:
        value |= (message[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1


if __name__ == "__main__":
    run(main)
