"""Amounts of memory, as they are written on a command line."""

from __future__ import annotations

import re

import click

from retrieval.decoding.budget import LEAST_BUDGET_BYTES

_UNITS = {"": 2**30, "m": 2**20, "g": 2**30, "t": 2**40}
_SPELLING = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([mgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)


class MemorySize(click.ParamType[int]):
    """``4G``, ``1.5GiB``, ``2048M`` or, in GiB, ``4``: bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes that a spelling means, at least 1 GiB."""
        if isinstance(value, int):
            return value
        found = _SPELLING.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is not an amount of memory; write it as in 4G or 2048M", param, ctx)
        size = int(float(found[1]) * _UNITS[found[2].lower()])
        if size < LEAST_BUDGET_BYTES:
            self.fail(f"{value} is too little; give at least 1G", param, ctx)
        return size
