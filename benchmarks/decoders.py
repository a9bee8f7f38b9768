"""What `benchmarks.decode` compares: our search, the same without a constraint, and transformers' `generate`."""

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Int64
from numpy import ndarray
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks.catalogues import CODES_PER_LEVEL
from genrec.generator.beam_search import CodeModel
from genrec.generator.config import EncoderKind, GeneratorConfig, GeneratorOptions
from genrec.generator.model import Generator

WIDTH, HEADS, LAYERS, FEED_FORWARD = 128, 4, 4, 512
FIRST_TOKEN = 2  # T5's 0 is the padding and the decoder's start, 1 the end
_SPREAD = 0.1  # of the untrained weights: distributions that are neither flat nor sure


def made_generator(codes: Int[ndarray, "items levels"], *, encoder: EncoderKind = "causal_items") -> Generator:
    """An untrained generator for these items, in eval mode."""
    options = sized_options(encoder=encoder, item_vectors=False)
    sizes = (CODES_PER_LEVEL,) * codes.shape[1]
    config = GeneratorConfig.from_options(options, level_sizes=sizes, num_items=len(codes))
    config.initializer_range = _SPREAD
    torch.manual_seed(0)
    generator = Generator(config).eval()
    generator.vocabulary.set_codes(torch.from_numpy(codes.astype(np.int32)))
    return generator


def sized_options(**others: Any) -> GeneratorOptions:
    """Options of a generator of the size that all comparisons have."""
    return GeneratorOptions(
        width=WIDTH,
        num_heads=HEADS,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        feed_forward_dim=FEED_FORWARD,
        **others,
    )


@torch.inference_mode()
def unconstrained_search(model: CodeModel, read: Any, *, num_levels: int, beam_size: int) -> Int64[Tensor, "..."]:
    """The codes of a plain beam search over all codes, `[batch, beams, levels]`: the same loop without a trie."""
    logits, written = model.next_code_logits(read, None)
    score = logits.new_zeros(len(logits), 1)
    parent = torch.zeros(len(logits), 1, dtype=torch.int64, device=logits.device)
    taken = torch.empty(len(logits), 1, 0, dtype=torch.int64, device=logits.device)
    for level in range(num_levels):
        if level:
            logits, written = model.next_code_logits(read, written, codes=taken[..., -1], parents=parent)
        size = logits.shape[2]
        total = score[..., None] + logits - logits.logsumexp(-1, keepdim=True)
        score, slot = total.flatten(1).topk(min(beam_size, total[0].numel()), dim=1)
        parent, code = slot // size, slot % size
        taken = torch.cat([taken.gather(1, parent[..., None].expand(-1, -1, level)), code[..., None]], dim=2)
    return taken


def made_t5() -> T5ForConditionalGeneration:
    """A T5 of the same depth and width, with a token for each code of each of four levels."""
    model = sized_t5(FIRST_TOKEN + 4 * CODES_PER_LEVEL).eval()
    assert model.generation_config is not None
    model.generation_config.decoder_start_token_id = 0
    model.generation_config.pad_token_id = 0
    model.generation_config.eos_token_id = 1
    return model


def sized_t5(num_tokens: int) -> T5ForConditionalGeneration:
    """An untrained T5 of the size that all comparisons have."""
    config = T5Config(
        vocab_size=num_tokens,
        d_model=WIDTH,
        d_kv=WIDTH // HEADS,
        num_heads=HEADS,
        d_ff=FEED_FORWARD,
        num_layers=LAYERS,
        num_decoder_layers=LAYERS,
    )
    setattr(config, "decoder_start_token_id", 0)  # noqa: B010  # its stubs do not know it
    torch.manual_seed(0)
    return T5ForConditionalGeneration(config)


def tokens_of(codes: Int[ndarray, "*rows levels"]) -> Int[ndarray, "*rows levels"]:
    """T5's tokens of these codes."""
    return codes.astype(np.int64) + np.arange(codes.shape[-1]) * CODES_PER_LEVEL + FIRST_TOKEN


def dict_trie_callback(tokens: Iterable[tuple[int, ...]]) -> Callable[[int, Tensor], list[int]]:
    """The usual `prefix_allowed_tokens_fn`: a dict from each prefix to the tokens that may follow."""
    following: dict[tuple[int, ...], set[int]] = {}
    for row in tokens:
        for level, token in enumerate(row):
            following.setdefault(row[:level], set()).add(token)
    allowed = {prefix: sorted(tokens) for prefix, tokens in following.items()}
    return lambda _user, ids: allowed.get(tuple(ids.tolist()[1:]), [1])


def generate(
    model: T5ForConditionalGeneration,
    tokens: Int64[Tensor, "batch tokens"],
    allowed: Callable[[int, Tensor], list[int]],
    *,
    beam_size: int,
) -> Tensor:
    """Transformers' constrained beam search: all beams of every history."""
    generate_with_beams: Callable[..., Any] = getattr(model, "generate")  # noqa: B009  # its stubs refuse a T5
    return generate_with_beams(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        num_beams=beam_size,
        num_return_sequences=beam_size,
        max_new_tokens=4,
        min_new_tokens=4,
        do_sample=False,
        prefix_allowed_tokens_fn=allowed,
    )


def search_flops(*, read_length: int, beam_size: int, num_levels: int = 4) -> float:
    """Multiplications and additions of one user's search: the matrix products alone, nothing for the rest.

    `read_length`: states that the encoder makes and the decoder reads. A multiply-add counts two.
    """
    mix = 2 * FEED_FORWARD * WIDTH
    encoder = read_length * (4 * WIDTH**2 + mix + 2 * read_length * WIDTH)
    cross = read_length * 2 * WIDTH**2
    decoder = 0.0
    for level in range(num_levels):
        rows = 1 if level == 0 else beam_size
        attended = 2 * (read_length + level + 1) * WIDTH
        decoder += rows * (LAYERS * (6 * WIDTH**2 + mix + attended) + WIDTH * CODES_PER_LEVEL)
    return 2 * (LAYERS * (encoder + cross) + decoder)


def matmul_flops_per_second(*, device: str = "cpu", size: int = 2048, runs: int = 5) -> float:
    """The rate of a large matrix product in float32; the best of several."""
    first, second = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    rates = []
    for _ in range(runs + 1):
        began = perf_counter()
        product = first @ second
        float(product[0, 0])  # waits for a device
        rates.append(2 * size**3 / (perf_counter() - began))
    return max(rates[1:])


def moved(module: nn.Module, device: str) -> None:
    """In place; transformers hides its own `to` from type checkers."""
    nn.Module.to(module, device)
