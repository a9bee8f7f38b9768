"""Where the items' own vectors start: at their content, so that an item that is seldom bought is near what is like it.

Sequence models learn from content vectors that are brought to their width by principal axes and then trained on like
any others (Harte et al. 2023, "Leveraging large language models for sequential recommendation", 2309.09261).
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray

from tokenizer.preparation import Preparation

_CHUNK_ITEMS = 65_536


def content_start(
    content: Float[ndarray, "items content_dim"], *, width: int, scale: float
) -> Float32[ndarray, "items width"]:
    """The centred content on its `width` strongest axes, brought to the root mean square `scale`.

    The axes are turned at random (by torch's generator), so that every dimension has its part of the strong ones; with
    fewer axes than `width` the vectors lie in a plane. All zero where the content does not vary.
    """
    preparation = Preparation.fit(content, kind="centre", num_axes=width)
    turned = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64)).Q.numpy()[: preparation.prepared_dim]
    vectors = np.empty((len(content), width), dtype=np.float32)
    for start in range(0, len(content), _CHUNK_ITEMS):
        rows = slice(start, start + _CHUNK_ITEMS)
        vectors[rows] = preparation.apply(content[rows]) @ turned
    size = float(np.sqrt(np.square(vectors, dtype=np.float64).mean()))
    return vectors * np.float32(scale / size if size > 0 else 0.0)
