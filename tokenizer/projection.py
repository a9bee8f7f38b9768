"""The few directions in which embeddings differ most."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def principal_axes(standardised: Float[ndarray, "items dim"], num_axes: int) -> Float[ndarray, "dim axes"]:
    """Orthonormal columns along which the (centred) items vary most, strongest first.

    `num_axes` is cut to dim. The largest entry of each column is positive, so that the axes do not flip between runs.
    """
    covariance = np.matmul(standardised.T, standardised, dtype=np.float64)
    _, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, ::-1][:, :num_axes]
    largest = np.abs(axes).argmax(axis=0)
    signs = np.sign(axes[largest, np.arange(axes.shape[1])])
    return np.ascontiguousarray(axes * signs, dtype=np.float32)
