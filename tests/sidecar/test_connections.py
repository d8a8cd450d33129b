"""A waiting request that is answered past the application, on a real socket, at the worst moments."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from sidecar.publishers.connections import Connection, Refusals, Reply, make_protocol

REPLY = Reply(Response(b"[]", media_type="application/json"))
REQUEST = b"GET /members?index=1 HTTP/1.1\r\nHost: x\r\n\r\n"


async def waits(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


def run(act: Callable[[Connection, socket.socket], Awaitable[None]]) -> list[dict[str, Any]]:
    """Let `act` have a connection with a waiting request, and its client; what the loop had to complain of."""
    complaints: list[dict[str, Any]] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        config = uvicorn.Config(waits, lifespan="off", log_config=None, server_header=False)
        config.load()
        made: list[Connection] = []

        def make() -> Connection:
            made.append(make_protocol(Refusals(8))(config, ServerState(), {}, loop))
            return made[-1]

        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        with listener, client:
            await loop.connect_accepted_socket(make, accepted)
            client.sendall(REQUEST)
            while made[0].cycle is None:
                await asyncio.sleep(0)
            await act(made[0], client)
            for task in made[0].tasks:
                task.cancel()
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(scene(), 20))
    return complaints


def read(client: socket.socket) -> bytes:
    client.settimeout(10)
    return client.recv(4096)


def test_the_answer_is_sent_at_once_and_the_next_request_is_taken() -> None:
    async def act(connection: Connection, client: socket.socket) -> None:
        first = connection.cycle
        assert connection.answer(REPLY)
        assert read(client) == REPLY.wire and REPLY.wire.endswith(b"\r\n\r\n[]")
        assert not connection.answer(REPLY), "it has its answer"
        client.sendall(REQUEST)
        while connection.cycle is first:
            await asyncio.sleep(0)
        assert connection.answer(REPLY)
        assert read(client) == REPLY.wire

    assert run(act) == []


def test_a_client_that_was_reset_before_its_answer() -> None:
    async def act(connection: Connection, client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert connection.answer(REPLY), "nobody has noticed yet"
        await asyncio.sleep(0.05)
        assert connection.transport.is_closing()

    assert run(act) == []


def test_a_server_that_stops_right_after_its_answer() -> None:
    async def act(connection: Connection, client: socket.socket) -> None:
        assert connection.answer(REPLY)
        connection.shutdown()
        await asyncio.sleep(0.05)
        assert read(client) == REPLY.wire and read(client) == b""

    assert run(act) == []
