"""Variables that Kubernetes itself puts into a container."""

import re

import pytest
from click import Option

from membership.cli import command
from membership.flags import Reader, is_service_link
from membership.settings import SETTINGS
from sidecar.settings import SETTINGS as ALL
from sidecar.settings import OF_THE_COMMAND, parse_settings

NEEDED = {"MEMBERSHIP_SERVICES": "wso2/is", "MEMBERSHIP_SERVER": "http://127.0.0.1:1", "MEMBERSHIP_HTTP": "off"}
# Of a Service "membership" with the ports 4080 (named http) and 53 in its namespace, and of one "membership-old".
LINKS = {
    "MEMBERSHIP_SERVICE_HOST": "10.96.0.7",
    "MEMBERSHIP_SERVICE_PORT": "4080",
    "MEMBERSHIP_SERVICE_PORT_HTTP": "4080",
    "MEMBERSHIP_PORT": "tcp://10.96.0.7:4080",
    "MEMBERSHIP_PORT_4080_TCP": "tcp://10.96.0.7:4080",
    "MEMBERSHIP_PORT_4080_TCP_PROTO": "tcp",
    "MEMBERSHIP_PORT_4080_TCP_PORT": "4080",
    "MEMBERSHIP_PORT_4080_TCP_ADDR": "10.96.0.7",
    "MEMBERSHIP_PORT_53_UDP": "udp://10.96.0.7:53",
    "MEMBERSHIP_OLD_SERVICE_HOST": "10.96.0.8",
    "MEMBERSHIP_OLD_PORT": "tcp://[fd00::8]:4080",
}


@pytest.mark.parametrize(("name", "value"), LINKS.items())
def test_a_service_of_our_name_sets_nothing(name: str, value: str) -> None:
    assert is_service_link(name, value)


def test_the_port_is_not_that_of_a_service_named_membership() -> None:
    settings = parse_settings({}, {**NEEDED, **LINKS})
    assert settings.shared.port == 4000 and settings.shared.warnings == ()


def test_no_setting_looks_like_a_link() -> None:
    values = {setting.default or "1" for setting in ALL} | {"http://10.96.0.1:443", "4001", "hazelcast", "[::]:4080"}
    assert not [
        name for setting in ALL for name in setting.variables for value in values if is_service_link(name, value)
    ]


def test_a_flag_is_taken_as_it_is() -> None:
    assert Reader(SETTINGS, {"port": "tcp://10.96.0.7:4080"}, {}).text("port") == "tcp://10.96.0.7:4080"


def test_a_misspelt_variable_is_told() -> None:
    settings = parse_settings({}, {**NEEDED, **LINKS, "MEMBERSHIP_EXPEKT": "2", "MEMBERSHIP_OUTPUT": "x", "OTHER": "y"})
    assert settings.shared.warnings == ("ignored, for no setting has this name: MEMBERSHIP_EXPEKT, MEMBERSHIP_OUTPUT",)


def test_variables_of_the_command_alone_are_known() -> None:
    """For it may have the environment of the sidecar, in an init container."""
    options = [option for each in command.commands.values() for option in each.params if isinstance(option, Option)]
    told = re.findall(r"\[env: ([^\]]*)\]", " ".join(option.help or "" for option in options))
    names = {name for names in told for name in names.split(", ") if name.startswith("MEMBERSHIP_")}
    assert names - {name for setting in ALL for name in setting.variables} == set(OF_THE_COMMAND)
    settings = parse_settings({}, {**NEEDED, **dict.fromkeys(OF_THE_COMMAND, "1")})
    assert settings.shared.warnings == ()
