"""Names of weights: in a two-tower model's file, in its torch modules, and of quantisation scales."""

from __future__ import annotations

from collections.abc import Mapping

WEIGHT = ".weight"
SCALE = ".step"
"""A tensor NAME.step holds the quantisation scales of NAME.weight, one a row."""

# Names in files, which stay as the first release wrote them, and names in the modules.
_MODULE_NAMES = ((".take_in.", ".query_key_value."), (".give_out.", ".output."))


def module_name(name: str) -> str:
    """Give the name in the torch modules of a tensor of a file."""
    for in_file, in_module in _MODULE_NAMES:
        name = name.replace(in_file, in_module)
    return name


def file_name(name: str) -> str:
    """Give the name in a file of a tensor of the torch modules."""
    for in_file, in_module in _MODULE_NAMES:
        name = name.replace(in_module, in_file)
    return name


def scales(shapes: Mapping[str, tuple[int, ...]]) -> list[tuple[str, str]]:
    """List the names of all scales, each with that of its weight; a tensor without one is not a scale.

    Raises:
        ValueError: a scale has more than one number a row: multiplied, (n, 1) by (1, m) would become (n, m).
    """
    found = []
    for scale in shapes:
        weight = scale.removesuffix(SCALE) + WEIGHT
        if scale.endswith(SCALE) and weight in shapes:
            one_a_row = (*shapes[weight][:1], *(1 for _ in shapes[weight][1:]))
            if shapes[scale] != one_a_row:
                raise ValueError(f"{scale} has the shape {shapes[scale]}, and its weight {shapes[weight]}")
            found.append((scale, weight))
    return found
