"""The services of ``deploy/compose.yaml``: what they run and in which environment, as Compose would understand it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.without_packages import ROOT

FILE = ROOT / "deploy" / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    Attributes:
        command: that it runs; empty where it is the image's.
        environment: beside the image's.
        facts: all that the file says of it.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    facts: Mapping[str, Any]


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    """Read the services by name.

    Args:
        variables: the environment that Compose is started in.

    Raises:
        KeyError: the file needs a variable that is not there.
    """
    yaml: Any = importlib.import_module("yaml")  # which other packages of the tests bring; without types

    def value(found: re.Match[str]) -> str:
        name, mark, default = found.groups()
        return variables.get(name, default) if mark == "-" else variables[name]

    text = _VARIABLE.sub(value, FILE.read_text(encoding="utf-8"))
    return {
        name: Service(facts.get("command", ()), facts.get("environment", {}), facts)
        for name, facts in yaml.safe_load(text)["services"].items()
    }
