import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessorList, T5Config, T5ForConditionalGeneration

from trie import PrefixTrie, TrieLogitsProcessor

PAD, EOS = 0, 1
SIZES = (5, 6, 4)
# Tokens of the levels in no order, and the same token for code 0 of the first two levels.
TOKEN_IDS = [[9, 8, 7, 6, 5], [9, 10, 11, 12, 13, 14], [18, 15, 17, 16]]


@pytest.fixture(scope="module")
def codes():
    return np.unique(np.stack([np.random.default_rng(0).integers(0, size, 60) for size in SIZES], axis=1), axis=0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=20, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=PAD,
        pad_token_id=PAD, eos_token_id=EOS, initializer_factor=20.0,
    )  # fmt: skip
    return T5ForConditionalGeneration(config).eval()


def tokens_of(codes) -> list[tuple[int, ...]]:
    return [tuple(TOKEN_IDS[level][code] for level, code in enumerate(row)) for row in codes.tolist()]


def followers(codes, prompt_length):
    """The plain twin: what `prefix_allowed_tokens_fn` returns, from a set of prefixes."""
    ids = tokens_of(codes)

    def allowed(batch, sentence):
        taken = tuple(sentence.tolist()[prompt_length:])
        return sorted({tokens[len(taken)] for tokens in ids if tokens[: len(taken)] == taken and len(taken) < 3}) or [
            EOS
        ]

    return allowed


def generated(model, num_beams, **more):
    random = torch.Generator().manual_seed(1)
    return model.generate(
        torch.randint(2, 20, (4, 6), generator=random), num_beams=num_beams, num_return_sequences=num_beams,
        do_sample=False, max_new_tokens=4, return_dict_in_generate=True, output_scores=True, **more,
    )  # fmt: skip


@pytest.mark.parametrize("num_beams", [1, 2, 8])
def test_t5_generates_the_same_as_with_a_prefix_function(model, codes, num_beams):
    processor = TrieLogitsProcessor(PrefixTrie.from_codes(codes, level_sizes=SIZES), TOKEN_IDS, eos_token_id=EOS)
    mine = generated(model, num_beams, logits_processor=LogitsProcessorList([processor]))
    theirs = generated(model, num_beams, prefix_allowed_tokens_fn=followers(codes, 1))
    assert mine.sequences.tolist() == theirs.sequences.tolist()
    if num_beams > 1:
        assert torch.equal(mine.sequences_scores, theirs.sequences_scores)
    ids = set(tokens_of(codes))
    assert all(tuple(sequence[1:4]) in ids for sequence in mine.sequences.tolist())


def test_a_decoder_only_model_generates_the_same_as_with_a_prefix_function(codes):
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=20, n_embd=16, n_layer=1, n_head=2, pad_token_id=PAD, eos_token_id=EOS, bos_token_id=PAD
    )
    model = GPT2LMHeadModel(config).eval()
    trie = PrefixTrie.from_codes(codes, level_sizes=SIZES)
    processor = TrieLogitsProcessor(trie, TOKEN_IDS, eos_token_id=EOS, prompt_length=6)
    mine = generated(model, 5, logits_processor=LogitsProcessorList([processor]))
    theirs = generated(model, 5, prefix_allowed_tokens_fn=followers(codes, 6))
    assert mine.sequences.tolist() == theirs.sequences.tolist()
    assert {tuple(sequence[6:9]) for sequence in mine.sequences.tolist()} <= set(tokens_of(codes))


def test_every_prefix_allows_what_the_set_of_prefixes_allows(codes):
    processor = TrieLogitsProcessor(PrefixTrie.from_codes(codes, level_sizes=SIZES), TOKEN_IDS, eos_token_id=EOS)
    allowed = followers(codes, 1)
    random = np.random.default_rng(1)
    for taken in range(5):
        known = [(PAD, *tokens, EOS)[: taken + 1] for tokens in tokens_of(codes)]
        unknown = [[PAD, *random.integers(0, 20, taken)] for _ in range(30)]
        input_ids = torch.tensor([*known, *unknown])
        scores = processor(input_ids, torch.zeros(len(input_ids), 20))
        for sentence, row in zip(input_ids, scores, strict=True):
            assert (row == 0).nonzero().flatten().tolist() == allowed(0, sentence)
            assert torch.isneginf(row).sum() == 20 - len(allowed(0, sentence))


def test_token_ids_that_do_not_fit_the_trie_are_refused(codes):
    trie = PrefixTrie.from_codes(codes, level_sizes=SIZES)
    with pytest.raises(ValueError, match=r"\(5, 6, 4\); got \(5, 6\)"):
        TrieLogitsProcessor(trie, TOKEN_IDS[:2], eos_token_id=EOS)
    with pytest.raises(ValueError, match="level 2 must be different"):
        TrieLogitsProcessor(trie, [*TOKEN_IDS[:2], [15, 16, 17, 17]], eos_token_id=EOS)
