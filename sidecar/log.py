"""Log lines on stderr: JSON objects for collectors, or text for people."""

import json
import logging
import os
import queue
import sys
import threading
import time

import h11

ROOM = 1000
"""Lines that wait to be written."""
FLUSH = 0.2
"""Seconds that the end waits for them."""


class JsonFormatter(logging.Formatter):
    """One object per line: time (RFC 3339, UTC), level, logger, message, and error where there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": format_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`2026-11-21T12:00:00.123Z warning message`."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{format_time(record.created)} {record.levelname.lower()} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def drop_client_mistakes(record: logging.LogRecord) -> bool:
    """False for a traceback that uvicorn logs after it has answered a broken request with 400 by itself."""
    return not (record.exc_info and isinstance(record.exc_info[1], h11.LocalProtocolError))


def format_time(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


class Lines(logging.Handler):
    """Writes each line to a file descriptor, on a thread of its own.

    Whoever collects the log may stand still, and a full pipe blocks its writer: it must not be a thread that follows,
    writes files or stops. What has no room is dropped, and counted in a line of its own. Not by sys.stderr, whose lock
    such a writer would hold until the end of the process, nor by logging's QueueListener, whose stop waits for ever.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines = queue.Queue[str](ROOM)
        self._lost = 0
        threading.Thread(target=self._write, name="log-lines", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._lost += 1
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait for what was logged to be written, at most `FLUSH` seconds. logging calls it at the end."""
        deadline = time.monotonic() + FLUSH
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left := deadline - time.monotonic()) > 0:
                self._lines.all_tasks_done.wait(left)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            lost, self._lost = self._lost, 0
            if lost:
                text = f"{lost} lines are lost: nobody has read this log for a while"
                record = logging.LogRecord("sidecar", logging.WARNING, "", 0, text, None, None)
                line = f"{line}\n{self.format(record)}"
            data = f"{line}\n".encode(errors="backslashreplace")
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                pass  # nobody is there to be told
            self._lines.task_done()


def start_logging(format: str, level: str) -> None:
    """Send the lines of both packages, and of the HTTP server, to stderr."""
    handler = Lines(sys.stderr.fileno())
    handler.addFilter(drop_client_mistakes)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    for name, lowest in (("membership", level), ("sidecar", level), ("uvicorn", "error")):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(lowest.upper())
        logger.propagate = False
