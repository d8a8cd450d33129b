"""Who is told first when a list changes: a crowd of HTTP clients waits for the files, a few do not, nobody for ever."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from membership.session import Publication
from sidecar.publishers.http import CROWD, FILES_FIRST, Newest
from tests.unit.lists import snapshot


def publication(generation: int) -> Publication:
    """A list without members."""
    return Publication(snapshot(generation=generation), 0.0)


class Files:
    """Which generation the files have."""

    def __init__(self) -> None:
        self.generation = 0

    def written(self, generation: int) -> bool:
        return self.generation >= generation


def play(story: Callable[[Newest, Files, list[float]], Awaitable[None]], queries: int, streams: int) -> list[float]:
    """Let so many wait for generation 1; the times at which they were told, in seconds since then."""
    told: list[float] = []

    async def run() -> None:
        loop, files = asyncio.get_running_loop(), Files()
        newest, began = Newest(files.written), asyncio.get_running_loop().time()
        for _ in range(queries):
            newest.waiting.add(lambda: told.append(loop.time() - began))

        async def stream() -> None:
            await newest.wait_newer(0, 30)
            told.append(loop.time() - began)

        tasks = [asyncio.ensure_future(stream()) for _ in range(streams)]
        await asyncio.sleep(0)
        await story(newest, files, told)
        await asyncio.gather(*tasks)
        while len(told) < queries + streams:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(run(), 20))
    return told


CROWDS = pytest.mark.parametrize(("queries", "streams"), [(CROWD, 0), (0, CROWD), (1, CROWD - 1)])


@CROWDS
def test_a_crowd_is_told_once_the_files_are_written(queries: int, streams: int) -> None:
    async def story(newest: Newest, files: Files, told: list[float]) -> None:
        newest.put(publication(1))
        assert newest.generation == 1, "who asks now is answered now"
        await asyncio.sleep(FILES_FIRST / 5)
        assert not told
        files.generation = 1

    assert max(play(story, queries, streams)) >= FILES_FIRST / 5


@CROWDS
def test_a_crowd_does_not_wait_for_ever_nor_longer_because_lists_keep_coming(queries: int, streams: int) -> None:
    async def story(newest: Newest, files: Files, told: list[float]) -> None:
        loop = asyncio.get_running_loop()
        began, generation = loop.time(), 0
        while not told:
            generation += 1
            newest.put(publication(generation))
            assert loop.time() < began + 10
            await asyncio.sleep(0.002)

    assert min(play(story, queries, streams)) >= FILES_FIRST


@pytest.mark.parametrize(("queries", "streams"), [(CROWD - 1, 0), (0, CROWD - 1)])
def test_a_few_are_told_at_once(queries: int, streams: int) -> None:
    async def story(newest: Newest, files: Files, told: list[float]) -> None:
        newest.put(publication(1))
        for _ in range(4):
            await asyncio.sleep(0)
        assert len(told) == queries + streams, "before any time has passed, and no file is written"

    play(story, queries, streams)


def test_closing_lets_a_crowd_go() -> None:
    async def story(newest: Newest, files: Files, told: list[float]) -> None:
        newest.put(publication(1))
        newest.close()
        for _ in range(4):
            await asyncio.sleep(0)
        assert len(told) == CROWD

    play(story, CROWD, 0)
