"""Gumbel noise that is a function of a seed and a place: the same whatever the batch, its padding and the device."""

from jaxtyping import Float64, Int64
from torch import Tensor

# splitmix64's constants (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"), as int64
_GAMMA = -7046029254386353131
_MIX_1 = -4658895280553007687
_MIX_2 = -7723592293110705685


def gumbel(
    seed: Int64[Tensor, " users"], depth: int, place: Int64[Tensor, "users places"]
) -> Float64[Tensor, "users places"]:
    """Standard Gumbel variates, independent for different (seed, depth, place)."""
    key = _mixed(_mixed(_mixed(seed) + depth)[:, None] + place)
    uniform = (_shifted(key, 11).double() + 0.5) * 2.0**-53  # never 0 nor 1
    return -(-uniform.log()).log()


def split(seed: Int64[Tensor, " users"], number: int | Int64[Tensor, " users"]) -> Int64[Tensor, " users"]:
    """Seeds that draw independently of `seed`, and of those for any other `number`."""
    return _mixed(_mixed(seed) + number)


def _mixed(key: Int64[Tensor, "*places"]) -> Int64[Tensor, "*places"]:
    key = key + _GAMMA
    key = (key ^ _shifted(key, 30)) * _MIX_1
    key = (key ^ _shifted(key, 27)) * _MIX_2
    return key ^ _shifted(key, 31)


def _shifted(key: Int64[Tensor, "*places"], bits: int) -> Int64[Tensor, "*places"]:
    """Shifted right with zeros, where int64 shifts in the sign."""
    return (key >> bits) & ((1 << (64 - bits)) - 1)
