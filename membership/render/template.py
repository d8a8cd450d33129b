"""`template`: a Jinja2 template of the user's, which sees `members` and `snapshot`.

https://jinja.palletsprojects.com/en/stable/templates/. It runs in Jinja's sandbox, so whoever may write the template
(often a ConfigMap) cannot run code here; an unknown name is an error, for it would leave a hole in the file.
"""

import traceback
from typing import TYPE_CHECKING

import msgspec

from membership.errors import RenderError
from membership.model import Snapshot
from membership.render.setup import Setup, Source

if TYPE_CHECKING:
    from jinja2 import Environment

FRAME = "<template>"
"""What Jinja calls a template's file in tracebacks when it has been compiled from a string."""


def render_template(snapshot: Snapshot, setup: Setup) -> bytes | None:
    """What SOURCE makes of the list; None without any member. Raises RenderError with file and line."""
    if not snapshot.members:
        return None
    from jinja2 import TemplateSyntaxError

    source = setup.required_source()
    try:
        text = source.content.decode()
        template = _environment(text).from_string(text)
        return template.render(members=snapshot.members, snapshot=snapshot).encode()
    except UnicodeDecodeError as error:
        line = source.content.count(b"\n", 0, error.start) + 1
        raise RenderError("not UTF-8; expected a Jinja2 template, which is", source.name, line) from error
    except TemplateSyntaxError as error:
        raise RenderError(f"not a Jinja2 template: {error.message}", source.name, error.lineno) from error
    except Exception as error:  # a template can raise anything
        raise _explain(error, source) from error


def _environment(text: str) -> "Environment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        newline_sequence="\r\n" if "\r\n" in text else "\n",
        autoescape=False,  # it makes configuration files, not HTML
    )
    environment.policies["json.dumps_function"] = _to_json
    return environment


def _to_json(value: object, *, indent: int | None = None, **_: object) -> str:
    """So that `members | tojson` and `members | tojson(2)` work: json does not know dataclasses."""
    text = msgspec.json.encode(value)
    return (text if indent is None else msgspec.json.format(text, indent=indent)).decode()


def _explain(error: Exception, source: Source) -> RenderError:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == FRAME), None)
    return RenderError(f"the template fails: {error or type(error).__name__}", source.name, line)
