"""Log lines on stderr: JSON objects for collectors, or text for people."""

import json
import logging
import sys
import time
from typing import TextIO

import h11


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


def start_logging(format: str, level: str, stream: TextIO | None = None) -> None:
    """Send the lines of both packages, and of the HTTP server, to `stream` (stderr)."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.addFilter(drop_client_mistakes)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    for name, lowest in (("membership", level), ("sidecar", level), ("uvicorn", "error")):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(lowest.upper())
        logger.propagate = False
