"""Writes docs/settings.md from the tables in the code: python -m docs.make_settings. A test holds them equal."""

from pathlib import Path

from membership.settings import IGNORED, PASSWORD, TOKEN, USERNAME
from membership.settings import SETTINGS as SHARED
from sidecar.settings import SETTINGS

PAGE = Path(__file__).parent / "settings.md"


def render() -> str:
    """The page."""
    lines = [
        "# Settings",
        "",
        "Made by `python -m docs.make_settings` from the code. The flag counts, else the first variable that is set "
        "and not empty, else the default. Durations: `500ms`, `2s`, `5m`, at most `576h` (24 days). Booleans: true, false, 1, 0, yes, no.",
        "",
        "| flag | variables | default | meaning |",
        "|---|---|---|---|",
    ]
    for setting in SETTINGS:
        variables = ", ".join(f"`{name}`" for name in setting.variables)
        default = f"`{setting.default}`" if setting.default else ""
        lines.append(f"| `--{setting.flag}` | {variables} | {default} | {setting.help} |")
    daemon = ", ".join(f"`--{setting.flag}`" for setting in SETTINGS if setting not in SHARED)
    lines += [
        "",
        f"Secrets come in variables only: `{TOKEN}` (a literal bearer token), `{USERNAME}` and `{PASSWORD}` "
        "(basic auth).",
        f"Accepted and ignored, with a warning: {', '.join(f'`{name}`' for name in IGNORED)}; names are never resolved "
        "to find members.",
        "",
        f"The `membership` subcommands take the same settings, without those of the daemon: {daemon}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render())
