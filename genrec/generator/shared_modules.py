"""A module that differs from another in a few of its parts and shares all the rest with it."""

import copy
from typing import TypeVar

from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def twin_of(module: AnyModule) -> AnyModule:
    """The same module in a frame of its own: its weights are shared, and a part exchanged in one stays in the other.

    What is written into a shared tensor is seen by both.
    """
    twin = copy.copy(module)
    for kept in ("_parameters", "_buffers", "_modules"):
        twin.__dict__[kept] = dict(module.__dict__[kept])
    return twin
