"""The items that a T5's beams end at, by either of two loops; what they find is the same."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessorList

from genrec.baselines.tiger_tokens import EOS, PADDING_TOKEN, CodeTokens
from trie import PrefixTrie, TrieBeamSearch, TrieLogitsProcessor

_DEAD = -1e8  # generate gives beams that have no sequence left scores of -1e9 and below


def searched_by_trie(
    t5: Any, read: Int[Tensor, "batch tokens"], prefix_trie: PrefixTrie, tokens: CodeTokens, *, beam_size: int
) -> Float[Tensor, "batch items"]:
    """Log-probability of the items found, shared between those with one ID; -inf for all others.

    By `trie.TrieBeamSearch`, which expands every user's first code from one row.
    """
    search = TrieBeamSearch(prefix_trie.to(read.device), tokens.by_level, eos_token_id=EOS)
    mask = (read != PADDING_TOKEN).long()
    leaves = search.leaves(t5, beam_size=beam_size, inputs=read, attention_mask=mask)
    scores = _nothing_found(read, tokens)
    # rows of -1, where a user has no more items, are written to a column that is cut off
    columns = torch.where(leaves.row >= 0, leaves.row, scores.shape[1] - 1)
    return scores.scatter(1, columns, leaves.score)[:, :-1]


def searched_by_generate(
    t5: Any, read: Int[Tensor, "batch tokens"], prefix_trie: PrefixTrie, tokens: CodeTokens, *, beam_size: int
) -> Float[Tensor, "batch items"]:
    """The same by transformers' own beam search, kept inside the trie by `trie.TrieLogitsProcessor`."""
    inside = TrieLogitsProcessor(prefix_trie, tokens.by_level, eos_token_id=EOS)
    output = t5.generate(
        input_ids=read,
        attention_mask=(read != PADDING_TOKEN).long(),
        logits_processor=LogitsProcessorList([inside]),
        num_beams=beam_size,
        num_return_sequences=beam_size,
        max_new_tokens=prefix_trie.length,
        length_penalty=0.0,  # the sum of the codes' log-probabilities, not their mean
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    codes = output.sequences[:, 1:].cpu().numpy() - np.array(tokens.offsets)
    scores = _nothing_found(read, tokens)
    for beam, (written, score) in enumerate(zip(codes, output.sequences_scores.tolist(), strict=True)):
        rows = prefix_trie.rows(written.tolist()) if score > _DEAD and (written >= 0).all() else []
        if len(rows):
            scores[beam // beam_size, torch.from_numpy(rows).long()] = score - np.log(len(rows))
    return scores[:, :-1]


def _nothing_found(read: Tensor, tokens: CodeTokens) -> Float[Tensor, "batch items_plus_1"]:
    shape = (len(read), len(tokens.item_tokens) + 1)
    return torch.full(shape, -torch.inf, device=read.device)
