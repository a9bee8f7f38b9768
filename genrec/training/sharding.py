"""Weights that are spread over processes (FSDP2), as whole ones: what checkpoints hold and validations use."""

import copy
from collections.abc import Mapping
from typing import TypeVar

from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

Model = TypeVar("Model", bound=nn.Module)


def to_be_sharded(model: Model, accelerator: Accelerator) -> Model:
    """What accelerate may prepare: a copy where it will be cut into shards, so that the model itself stays whole."""
    return copy.deepcopy(model) if accelerator.distributed_type == DistributedType.FSDP else model


def is_sharded(model: nn.Module) -> bool:
    """Whether each process has only some of the weights."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """The tensor, put together from all processes if it is a shard; then every process has to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each of them whole."""
    return {name: whole(tensor) for name, tensor in tensors.items()}


def sharded_like(tensor: Tensor, example: Tensor) -> Tensor:
    """A whole tensor cut as the example is; as it stands if the example is whole, or of another shape."""
    if not isinstance(example, DTensor) or tensor.shape != example.shape:
        return tensor
    return distribute_tensor(tensor.to(example.device), example.device_mesh, example.placements)
