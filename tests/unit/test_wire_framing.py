"""From bytes as they come to whole frames: in pieces of any size, and nothing that the end has cut off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership.errors import BadAnswer
from membership.transport import LIMIT as ANSWER
from membership.wire.framing import LIMIT, Frames, Framing, Lines


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def fed(framing: Framing, stream: bytes, sizes: list[int]) -> list[bytes]:
    """The frames of a stream that comes in pieces of these sizes, and then the rest of it."""
    found, at = [], 0
    for size in [*sizes, len(stream)]:
        piece = stream[at : at + size]
        at += size
        found += framing.feed(piece) if piece else []
    return found


SIZES = st.lists(st.integers(1, 40), max_size=30)


@given(st.lists(st.binary(max_size=300), max_size=6), SIZES, st.integers(0, 8))
def test_frames_in_any_pieces(messages: list[bytes], sizes: list[int], cut: int) -> None:
    stream = framed(*messages)
    assert fed(Frames(), stream, sizes) == messages
    whole = fed(Frames(), stream[: len(stream) - cut], sizes)
    assert whole == messages[: len(whole)] and (cut == 0 or not messages or len(whole) < len(messages))


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6), SIZES, st.integers(1, 8))
def test_lines_in_any_pieces(parts: list[bytes], sizes: list[int], cut: int) -> None:
    lines = [part.replace(b"\n", b"-") + b"!" for part in parts]
    stream = b"".join(line + b"\n" for line in lines)
    assert fed(Lines(), stream, sizes) == lines
    whole = fed(Lines(), stream[:-cut], sizes)
    assert whole == lines[: len(whole)] and (not lines or len(whole) < len(lines))


def test_empty_lines_are_none() -> None:
    assert Lines().feed(b"\n \r\na\n\n") == [b"a"]


def test_a_frame_is_as_long_as_an_answer_may_be() -> None:
    assert LIMIT == ANSWER
    framing = Frames()
    assert framing.feed(LIMIT.to_bytes(4, "big")) == []
    assert framing.feed(b"x" * (LIMIT - 1)) == []
    (frame,) = framing.feed(b"x")
    assert len(frame) == LIMIT


def test_a_frame_that_is_too_long_is_seen_by_its_length() -> None:
    with pytest.raises(BadAnswer, match="longer than 32 MiB"):
        Frames().feed((LIMIT + 1).to_bytes(4, "big"))


def test_a_line_without_end_is_seen_when_it_is_too_long() -> None:
    lines = Lines()
    with pytest.raises(BadAnswer, match="longer than 32 MiB"):
        for _ in range(33):
            lines.feed(b"x" * 2**20)


@pytest.mark.parametrize("page", [b"<html>502</html>", b"upstream connect error", b'{"type":"ADDED"}\n', b"k8s\x00xyz"])
def test_what_is_no_frame_is_seen_at_once(page: bytes) -> None:
    """As a length, four letters are more than any frame has."""
    with pytest.raises(BadAnswer):
        Frames().feed(page)


def test_many_small_pieces_cost_what_they_weigh() -> None:
    """A frame that comes byte by byte is put together once."""
    framing, message = Frames(), b"x" * 200_000
    found = [frame for byte in framed(message) for frame in framing.feed(bytes([byte]))]
    assert found == [message]
