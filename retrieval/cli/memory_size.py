"""Option type for amounts of memory."""

from __future__ import annotations

import re

import click

from retrieval.decoding.budget import LEAST_BUDGET_BYTES

_UNITS = {"": 2**30, "m": 2**20, "g": 2**30, "t": 2**40}
_SPELLING = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([mgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)


class MemorySize(click.ParamType[int]):
    """An amount of memory such as ``4G``, ``1.5GiB`` or ``2048M``, in bytes; ``4`` means 4 GiB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Convert an amount to bytes, at least 1 GiB."""
        if isinstance(value, int):
            return value
        found = _SPELLING.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not an amount of memory; write it as in 4G or 2048M", param, ctx)
        size = int(float(found[1]) * _UNITS[found[2].lower()])
        if size < LEAST_BUDGET_BYTES:
            self.fail(f"{value} is too little; give at least 1G", param, ctx)
        return size
