import dataclasses

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessorList, T5Config, T5ForConditionalGeneration

from trie import PrefixTrie, TrieBeamSearch, TrieLogitsProcessor

PAD, EOS = 0, 1
SIZES = (5, 6, 4)
# Tokens of the levels in no order, and the same token for code 0 of the first two levels.
TOKEN_IDS = [[9, 8, 7, 6, 5], [9, 10, 11, 12, 13, 14], [18, 15, 17, 16]]


@pytest.fixture(scope="module")
def codes():
    random = np.random.default_rng(0)
    return np.unique(np.stack([random.integers(0, size, 60) for size in SIZES], axis=1), axis=0)


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


@pytest.fixture(scope="module")
def decoder_only():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=20, n_embd=16, n_layer=1, n_head=2, pad_token_id=PAD, eos_token_id=EOS, bos_token_id=PAD,
        initializer_range=1.0,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def test_a_decoder_only_model_generates_the_same_as_with_a_prefix_function(codes, decoder_only):
    trie = PrefixTrie.from_codes(codes, level_sizes=SIZES)
    processor = TrieLogitsProcessor(trie, TOKEN_IDS, eos_token_id=EOS, prompt_length=6)
    mask = torch.arange(6) >= torch.tensor([0, 3, 1, 2])[:, None]  # padded on the left
    for more in ({}, {"attention_mask": mask.long()}):
        mine = generated(decoder_only, 5, logits_processor=LogitsProcessorList([processor]), **more)
        theirs = generated(decoder_only, 5, prefix_allowed_tokens_fn=followers(codes, 6), **more)
        assert mine.sequences.tolist() == theirs.sequences.tolist()
        assert torch.equal(mine.sequences_scores, theirs.sequences_scores)
        assert {tuple(sequence[6:9]) for sequence in mine.sequences.tolist()} <= set(tokens_of(codes))


def test_the_prompt_length_may_be_set_anew(codes, decoder_only):
    processor = TrieLogitsProcessor(PrefixTrie.from_codes(codes, level_sizes=SIZES), TOKEN_IDS, eos_token_id=EOS)
    for length in (2, 5):
        processor.prompt_length = length
        prompt = torch.full((1, length), 3)
        output = decoder_only.generate(
            prompt, logits_processor=LogitsProcessorList([processor]), max_new_tokens=4, do_sample=False
        )
        assert tuple(output[0, length : length + 3].tolist()) in tokens_of(codes)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_samples_are_the_same_as_with_a_prefix_function_and_all_are_ids(model, codes, num_beams):
    processor = TrieLogitsProcessor(PrefixTrie.from_codes(codes, level_sizes=SIZES), TOKEN_IDS, eos_token_id=EOS)
    constraints = [
        {"logits_processor": LogitsProcessorList([processor])},
        {"prefix_allowed_tokens_fn": followers(codes, 1)},
    ]
    tokens = torch.randint(2, 20, (4, 6), generator=torch.Generator().manual_seed(1))
    sequences = []
    for constraint in constraints:
        torch.manual_seed(3)
        sequences.append(
            model.generate(
                tokens, do_sample=True, top_k=0, num_beams=num_beams, num_return_sequences=3, temperature=100.0,
                max_new_tokens=3, **constraint,
            ).tolist()
        )  # fmt: skip
    assert sequences[0] == sequences[1]
    assert {tuple(sequence[1:]) for sequence in sequences[0]} <= set(tokens_of(codes))
    assert len({tuple(sequence) for sequence in sequences[0]}) > 3  # they do differ


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_scores_keep_their_dtype_and_their_values(codes, dtype):
    processor = TrieLogitsProcessor(PrefixTrie.from_codes(codes, level_sizes=SIZES), TOKEN_IDS, eos_token_id=EOS)
    scores = torch.randn(2, 20).to(dtype)
    kept = processor(torch.tensor([[PAD], [PAD]]), scores)
    allowed = torch.tensor(followers(codes, 1)(0, torch.tensor([PAD])))
    assert kept.dtype == dtype
    assert torch.equal(kept[:, allowed], scores[:, allowed])
    assert torch.isneginf(kept).sum() == 2 * (20 - len(allowed))


@pytest.mark.usefixtures("without_shape_checks")
def test_nothing_of_it_looks_at_the_values(codes):  # else the whole of it could not be compiled, and a GPU would wait
    processor = TrieLogitsProcessor(PrefixTrie.from_codes(codes, level_sizes=SIZES), TOKEN_IDS, eos_token_id=EOS)
    compiled = torch.compile(processor.__call__, backend="eager", fullgraph=True, dynamic=False)
    for taken in range(5):
        input_ids = torch.tensor([(PAD, *tokens, EOS)[: taken + 1] for tokens in tokens_of(codes)])
        scores = torch.randn(len(input_ids), 20)
        assert torch.equal(compiled(input_ids, scores), processor(input_ids, scores))


def test_after_a_stop_code_only_the_end_token_may_come():
    # IDs 1, 1-0 and 0-1-1; codes 2 of the later levels stop
    codes = np.array([[1, 2, 2], [1, 0, 2], [0, 1, 1]])
    trie = dataclasses.replace(PrefixTrie.from_codes(codes, level_sizes=(2, 3, 3)), has_stop=True)
    for token_ids in ([[5, 6], [7, 8], [9, 10]], [[5, 6], [7, 8, EOS], [9, 10, EOS]]):
        processor = TrieLogitsProcessor(trie, token_ids, eos_token_id=EOS)
        followed_by = {
            (): [5, 6],
            (6,): [EOS, 7],
            (6, 7): [EOS],
            (5, 8): [10],
            (5, 8, 10): [EOS],
            (6, EOS): [EOS],
            (6, EOS, PAD): [EOS],
            (6, EOS, PAD, PAD): [EOS],
        }
        for taken, expected in followed_by.items():
            scores = processor(torch.tensor([[PAD, *taken]]), torch.zeros(1, 12))
            assert (scores[0] == 0).nonzero().flatten().tolist() == expected


def test_samples_of_a_trie_with_stop_codes_are_ids(model):
    codes = np.array([[1, 6, 4], [1, 0, 4], [0, 1, 1], [3, 5, 4], [4, 6, 4]])
    trie = dataclasses.replace(PrefixTrie.from_codes(codes, level_sizes=(5, 7, 5)), has_stop=True)
    processor = TrieLogitsProcessor(trie, TOKEN_IDS, eos_token_id=EOS)
    torch.manual_seed(0)
    samples = model.generate(
        torch.full((1, 3), 4), do_sample=True, top_k=0, temperature=1000.0, num_return_sequences=40, max_new_tokens=5,
        logits_processor=LogitsProcessorList([processor]),
    )  # fmt: skip
    ids = {(8, EOS), (8, 9, EOS), (9, 10, 15, EOS), (6, 14, EOS), (5, EOS)}
    assert {tuple(token for token in sample[1:].tolist() if token != PAD) for sample in samples} == ids


def test_a_model_with_too_few_tokens_is_refused(codes):
    processor = TrieLogitsProcessor(PrefixTrie.from_codes(codes, level_sizes=SIZES), TOKEN_IDS, eos_token_id=EOS)
    with pytest.raises(ValueError, match="token_ids go up to 18, but the model has 18 tokens"):
        processor(torch.tensor([[PAD]]), torch.zeros(1, 18))


def test_token_ids_that_do_not_fit_the_trie_are_refused(codes):
    trie = PrefixTrie.from_codes(codes, level_sizes=SIZES)
    with pytest.raises(ValueError, match=r"\(5, 6, 4\); got \(5, 6\)"):
        TrieLogitsProcessor(trie, TOKEN_IDS[:2], eos_token_id=EOS)
    with pytest.raises(ValueError, match="level 2 must be different"):
        TrieLogitsProcessor(trie, [*TOKEN_IDS[:2], [15, 16, 17, 17]], eos_token_id=EOS)
    with pytest.raises(ValueError, match="code 1 of level 2 has eos_token_id 15, which ends an ID"):
        TrieLogitsProcessor(trie, TOKEN_IDS, eos_token_id=15)
    stops = dataclasses.replace(trie, has_stop=True)
    with pytest.raises(ValueError, match=r"\(5, 6, 4\); got \(5, 7, 5\)"):
        TrieLogitsProcessor(stops, [TOKEN_IDS[0], [*TOKEN_IDS[1], EOS], [*TOKEN_IDS[2], EOS]], eos_token_id=EOS)
    with pytest.raises(ValueError, match="whose token is eos_token_id: give it"):
        TrieBeamSearch(stops.to("cpu"), TOKEN_IDS)
