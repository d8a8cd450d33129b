"""Writes deploy/settings.schema.json from the settings in the code: python -m deploy.make_schema. A test compares."""

import json
from pathlib import Path
from typing import Any

from membership.flags import SWITCH, Setting
from membership.settings import IGNORED
from sidecar.settings import OF_THE_COMMAND, SETTINGS

SCHEMA = Path(__file__).parent / "settings.schema.json"
OWN: dict[str, dict[str, Any]] = {
    "WORKLOAD": {
        "description": "Name of the Deployment or StatefulSet.",
        "pattern": r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
    },
    "KIND": {
        "description": "What WORKLOAD is; for the component autoscaling only.",
        "enum": ["Deployment", "StatefulSet"],
    },
    "SOURCE": {
        "description": "ConfigMap with deployment.toml or axis2.xml, mounted at /membership-source.",
        "pattern": r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
    },
}
"""Settings of the component itself."""
ARGUMENTS = ("http", "staging")
"""Given on the command line by the component, where no variable counts."""
PATTERNS = {
    "DURATION": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
    "N": "^0*[1-9][0-9]*$",
    SWITCH: r"^\s*([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|0|1)\s*$",
}
"""By metavar; what is not here the sidecar checks at its start."""


def render() -> str:
    """The schema of the ConfigMap `membership`: what its `data` may hold."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The literals of the ConfigMap membership. Made by python -m deploy.make_schema",
        "type": "object",
        "properties": {name: {"type": "string", **about} for name, about in (*OWN.items(), *_list_settings())},
        "required": ["WORKLOAD", "SOURCE"],
        "anyOf": [{"required": [name]} for name in SETTINGS[0].variables],
        "additionalProperties": False,
    }
    return json.dumps(schema, indent=2) + "\n"


def _list_settings() -> list[tuple[str, dict[str, Any]]]:
    found = [
        (name, _describe(setting))
        for setting in SETTINGS
        if setting.flag not in ARGUMENTS
        for name in setting.variables
    ]
    others = {**dict.fromkeys(OF_THE_COMMAND, "Of the membership command."), **dict.fromkeys(IGNORED, "Ignored.")}
    return [*found, *((name, {"description": text}) for name, text in others.items())]


def _describe(setting: Setting) -> dict[str, Any]:
    about: dict[str, Any] = {"description": setting.help}
    if setting.default is not None:
        about["default"] = setting.default
    pattern = PATTERNS.get(SWITCH if setting.switch else setting.metavar)
    return {**about, "pattern": pattern} if pattern else about


if __name__ == "__main__":
    SCHEMA.write_text(render())
