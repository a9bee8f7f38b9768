"""The weights that a newer training begins with: those of the earlier one, item by item."""

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from numpy import ndarray
from torch import Tensor

from genrec.earlier_run.run import EarlierRun
from genrec.generator.model import Generator
from genrec.recommendation.loading import load_generator
from tokenizer.code_groups import group_numbers

_ITEM_CODES, _ITEM_VECTORS = "embedding.vocabulary.item_codes", "embedding.item_vectors.weight"


@torch.no_grad()
def start_from(generator: Generator, earlier: EarlierRun, item_ids: ndarray) -> None:
    """Give an untrained generator, which knows the codes of these items, the weights of the earlier run's.

    An item that was not there when that one was trained starts with the mean of the vectors of those items that share
    the longest prefix with it: what the codes say it is like.

    Raises:
        ArtifactError: the earlier generator is missing or damaged.
    """
    trained = load_generator(earlier.finished.folder.generator).state_dict()
    own = generator.state_dict()
    weights = {**trained, _ITEM_CODES: own[_ITEM_CODES]}
    if _ITEM_VECTORS in trained:
        rows = earlier.rows_of(item_ids)
        is_trained = (rows >= 0) & (rows < earlier.num_trained)
        vectors, codes = trained[_ITEM_VECTORS], own[_ITEM_CODES].numpy()
        started = torch.empty_like(own[_ITEM_VECTORS])
        started[torch.from_numpy(is_trained)] = vectors[torch.from_numpy(rows[is_trained])]
        started[torch.from_numpy(~is_trained)] = prefix_means(vectors, trained[_ITEM_CODES].numpy(), codes[~is_trained])
        weights[_ITEM_VECTORS] = started
    generator.load_state_dict(weights)


def prefix_means(
    vectors: Float[Tensor, "known width"],
    known_codes: Int[ndarray, "known id_length"],
    codes: Int[ndarray, "new id_length"],
) -> Float[Tensor, "new width"]:
    """For each new item, the mean vector of the known ones that share its longest prefix; of all, if none does."""
    means = vectors.mean(0).repeat(len(codes), 1)
    for length in range(1, codes.shape[1] + 1):
        groups: Int64[ndarray, " items"] = group_numbers(np.concatenate([known_codes, codes])[:, :length])
        known, new = torch.from_numpy(groups).split([len(known_codes), len(codes)])
        num_groups = int(groups.max()) + 1
        members = torch.bincount(known, minlength=num_groups)
        sums = vectors.new_zeros(num_groups, vectors.shape[1]).index_add_(0, known, vectors)
        has_known = members[new] > 0
        means[has_known] = sums[new[has_known]] / members[new[has_known], None]
    return means
