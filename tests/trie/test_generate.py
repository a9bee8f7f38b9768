"""TrieBeamSearch against `generate`, against teacher forcing, and against itself."""

import ast
import math
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

import trie.generate
from trie import AllowRows, Bitmap, DenyRows, PrefixTrie, TrieBeamSearch, share_cross_attention
from trie.step import certified

PAD, EOS, BOS = 0, 1, 2
SIZES = (5, 6, 4)
# Tokens of the levels in no order, and the same token for code 0 of the first two levels.
TOKEN_IDS = [[9, 8, 7, 6, 5], [9, 10, 11, 12, 13, 14], [18, 15, 17, 16]]
SPECIAL = {"vocab_size": 20, "pad_token_id": PAD, "eos_token_id": EOS, "bos_token_id": BOS}
LLAMA = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "initializer_range": 1.0,
}  # fmt: skip
USERS = 4


def t5():
    config = T5Config(
        d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=PAD, initializer_factor=3.0,
        **SPECIAL,
    )  # fmt: skip
    return T5ForConditionalGeneration(config)


def bart():  # its generation forces the last token to be the end
    sides = {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in WIDTHS.items()}
    config = BartConfig(
        d_model=16, decoder_start_token_id=EOS, forced_eos_token_id=EOS, init_std=1.0, **sides, **SPECIAL
    )
    return BartForConditionalGeneration(config)


WIDTHS = {"layers": 2, "attention_heads": 2, "ffn_dim": 32}
MODELS = {
    "t5": t5,
    "bart": bart,
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=1.0, **SPECIAL)
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LLAMA, **SPECIAL)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(sliding_window=3, **LLAMA, **SPECIAL)),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    torch.manual_seed(0)
    return MODELS[request.param]().eval()


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return t5().eval()


@pytest.fixture(scope="module")
def codes():
    random = np.random.default_rng(0)
    return np.unique(np.stack([random.integers(0, size, 60) for size in SIZES], axis=1), axis=0)


def torch_trie(codes, **more):
    return PrefixTrie.from_codes(codes, level_sizes=SIZES, **more).to("cpu")


def prompts(model):
    """Prompts of different lengths, padded on the side that the model is used to."""
    tokens = torch.randint(5, 20, (USERS, 6), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(6) < torch.tensor([6, 3, 5, 4])[:, None]
    if not model.config.is_encoder_decoder:
        mask = mask.flip(1)
    return {"inputs": tokens.where(mask, PAD), "attention_mask": mask.long()}


def prompt_length(model):
    return 1 if model.config.is_encoder_decoder else 6


def tokens_of(codes) -> list[tuple[int, ...]]:
    return [tuple(TOKEN_IDS[level][code] for level, code in enumerate(row)) for row in codes.tolist()]


def followers(codes, prompt_length):
    """What `prefix_allowed_tokens_fn` returns, from a set of prefixes."""
    ids = tokens_of(codes)

    def allowed(batch, sentence):
        taken = tuple(sentence.tolist()[prompt_length:])
        return sorted({tokens[len(taken)] for tokens in ids if tokens[: len(taken)] == taken and len(taken) < 3}) or [
            EOS
        ]

    return allowed


def generated(model, num_beams, **more):
    settings = {"max_new_tokens": 4, "num_return_sequences": num_beams, **more}
    return model.generate(
        **prompts(model), num_beams=num_beams, do_sample=False, return_dict_in_generate=True, output_scores=True,
        **settings,
    )  # fmt: skip


def forced_log_probs(model, ids):
    """The plain twin: log-probabilities [users, ids, levels + 1, vocabulary] after each prefix of each ID."""
    inputs, mask = prompts(model).values()
    result = []
    for prompt, seen in zip(inputs, mask, strict=True):
        for tokens in ids:
            written = torch.tensor([tokens])
            if model.config.is_encoder_decoder:
                written = torch.cat([torch.tensor([[model.config.decoder_start_token_id]]), written], dim=1)
                out = model(input_ids=prompt[None], attention_mask=seen[None], decoder_input_ids=written)
            else:
                read = prompt[seen.bool()]  # without padding there are no positions to get wrong
                out = model(input_ids=torch.cat([read[None], written], dim=1))
            result.append(out.logits[0, -len(tokens) - 1 :].log_softmax(-1))
    return torch.stack(result).unflatten(0, (len(inputs), len(ids)))


def forced_scores(model, codes, score):
    """Log-probability [users, rows] of each row's codes, from its definition."""
    rows = [tuple(row) for row in codes.tolist()]
    log_probs = forced_log_probs(model, tokens_of(codes)).double()
    total = torch.zeros(USERS, len(rows)).double()
    for number, row in enumerate(rows):
        for level, code in enumerate(row):
            offered = range(SIZES[level]) if score == "joint" else {r[level] for r in rows if r[:level] == row[:level]}
            after = log_probs[:, number, level]
            total[:, number] += after[:, TOKEN_IDS[level][code]]
            if score != "vocabulary":
                total[:, number] -= after[:, [TOKEN_IDS[level][one] for one in offered]].logsumexp(-1)
    return total


@pytest.mark.parametrize("num_beams", [1, 3, 8])
@pytest.mark.parametrize("max_new_tokens", [3, 4])  # without and with the end token
def test_sequences_and_scores_are_those_of_generate_with_a_prefix_function(model, codes, num_beams, max_new_tokens):
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS, eos_token_id=EOS)
    if max_new_tokens == 3 and model.generation_config.forced_eos_token_id is not None:  # in the last code's place
        with pytest.raises(ValueError, match="at least 4, an ID's length and its forced end; got 3"):
            generated(model, num_beams, custom_generate=search, max_new_tokens=3)
        return
    allowed = followers(codes, prompt_length(model))
    theirs = generated(model, num_beams, prefix_allowed_tokens_fn=allowed, max_new_tokens=max_new_tokens)
    mine = generated(model, num_beams, custom_generate=search, max_new_tokens=max_new_tokens)
    assert mine.sequences.tolist() == theirs.sequences.tolist()
    if num_beams > 1:  # else generate is greedy and gives none
        assert torch.allclose(mine.sequences_scores, theirs.sequences_scores, atol=1e-5)


@pytest.mark.parametrize("score", ["vocabulary", "joint", "catalog"])
@torch.no_grad()
def test_a_beam_as_wide_as_the_trie_finds_what_teacher_forcing_scores(model, codes, score):
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS, eos_token_id=EOS, score=score)
    leaves = search.leaves(model, beam_size=len(codes) + 5, **prompts(model))
    truth = forced_scores(model, codes, score)
    for user in range(USERS):
        rows = leaves.row[user, : len(codes)]
        assert sorted(rows.tolist()) == list(range(len(codes)))
        assert torch.allclose(leaves.score[user, : len(codes)].double(), truth[user, rows], atol=1e-4)
    assert certified(leaves).tolist() == [len(codes)] * USERS
    if score == "catalog":
        assert torch.allclose(leaves.score.exp().sum(1), torch.ones(USERS), atol=1e-4)


def test_teacher_forcing_scores_differ_between_the_normalisers(small, codes):
    first = {}
    for score in ("vocabulary", "joint", "catalog"):
        search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS, score=score)
        first[score] = search.leaves(small, beam_size=100, **prompts(small)).score.exp().sum(1)
    assert (first["vocabulary"] < first["joint"]).all()
    assert (first["joint"] < first["catalog"]).all()


def test_the_encoder_runs_once_and_the_first_code_is_chosen_from_one_row_per_user(small, codes):
    read, written = [], []
    hooks = [
        small.get_encoder().register_forward_pre_hook(
            lambda module, args, kwargs: read.append(len(kwargs["input_ids"])), with_kwargs=True
        ),
        small.get_decoder().register_forward_pre_hook(
            lambda module, args, kwargs: written.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
        ),
    ]
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS, eos_token_id=EOS)
    generated(small, 8, custom_generate=search)
    assert read == [USERS]
    # five first codes, then eight beams, which are read once more for the end token; one token a time
    assert written == [(4, 1), (20, 1), (32, 1), (32, 1)]
    read.clear(), written.clear()
    search.leaves(small, beam_size=8, **prompts(small))
    assert (read, written) == ([4], [(4, 1), (20, 1), (32, 1)])
    for hook in hooks:
        hook.remove()


def test_the_prompt_of_a_decoder_only_model_is_read_once_per_user(codes):
    model = MODELS["llama"]().eval()
    shapes = []
    model.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    TrieBeamSearch(torch_trie(codes), TOKEN_IDS).leaves(model, beam_size=8, **prompts(model))
    assert shapes == [(4, 6), (20, 1), (32, 1)]


def test_without_a_cache_and_alone_a_user_gets_the_same_list(model, codes):
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS)
    inputs = prompts(model)
    together = search.leaves(model, beam_size=6, **inputs)
    without = search.leaves(model, beam_size=6, use_cache=False, **inputs)
    assert without.row.tolist() == together.row.tolist()
    for user in range(USERS):
        one = inputs["inputs"][user][inputs["attention_mask"][user].bool()][None]  # without padding
        alone = search.leaves(model, beam_size=6, inputs=one)
        assert alone.row[0].tolist() == together.row[user].tolist()
        assert torch.allclose(alone.score[0], together.score[user], atol=1e-3)


@pytest.mark.parametrize("settings", [{}, {"cache_implementation": "static"}])
def test_other_caches_follow_the_beams_too(codes, settings):
    torch.manual_seed(0)
    mamba = MambaForCausalLM(
        MambaConfig(hidden_size=16, state_size=4, num_hidden_layers=2, initializer_range=1.0, **SPECIAL)
    )
    model = MODELS["llama"]() if settings else mamba
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS)
    tokens = prompts(model)["inputs"][:1]
    leaves = search.leaves(model.eval(), inputs=tokens, beam_size=6, **settings)
    plain = search.leaves(model, inputs=tokens, beam_size=6, use_cache=False)
    assert leaves.row.tolist() == plain.row.tolist()
    assert torch.allclose(leaves.score, plain.score, atol=1e-4)


def test_embeddings_are_a_prompt_as_tokens_are(codes):
    model = MODELS["gpt2"]().eval()
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS)
    tokens = prompts(model)["inputs"][:1]
    by_embedding = search.leaves(model, inputs_embeds=model.get_input_embeddings()(tokens), beam_size=6)
    assert by_embedding.row.tolist() == search.leaves(model, inputs=tokens, beam_size=6).row.tolist()


@torch.no_grad()
def test_filtered_lists_are_the_best_allowed_rows_of_each_user(model, codes):
    trie = torch_trie(codes)
    search = TrieBeamSearch(trie, TOKEN_IDS, eos_token_id=EOS)
    truth = forced_scores(model, codes, "vocabulary")
    denied = [truth[user].topk(user).indices.tolist() for user in range(USERS)]  # nothing, then the best, ...
    deny = DenyRows.from_rows(trie, denied)
    leaves = search.leaves(model, beam_size=len(codes), filters=deny, **prompts(model))
    for user in range(USERS):
        best = truth[user].argsort(descending=True)[user : user + 5]
        assert leaves.row[user, :5].tolist() == best.tolist()
        assert not set(leaves.row[user].tolist()) & set(denied[user])
    output = generated(model, 3, custom_generate=search, filters=deny)
    ids = tokens_of(codes)
    for user, sequence in enumerate(output.sequences.unflatten(0, (USERS, 3))[..., prompt_length(model) : -1].tolist()):
        found = [ids.index(tuple(one)) for one in sequence]
        assert len(set(found)) == 3
        assert not set(found) & set(denied[user])


def test_rows_outside_the_stock_are_in_no_list(small, codes):
    whole = torch_trie(codes)
    mask = np.arange(len(codes)) % 2 == 0
    stocked = whole.with_stock(Bitmap.from_mask(whole, mask))
    deny = DenyRows.from_rows(whole, [[0], [2], [4], []])
    leaves = TrieBeamSearch(stocked, TOKEN_IDS).leaves(small, beam_size=100, filters=deny, **prompts(small))
    even = set(range(0, len(codes), 2))
    assert [set(rows) - {-1} for rows in leaves.row.tolist()] == [even - {0}, even - {2}, even - {4}, even]


def test_an_allow_list_is_the_whole_list(small, codes):
    whole = torch_trie(codes)
    allow = AllowRows.from_rows(whole, [[7], [3, 5, 3], None, [0]])
    leaves = TrieBeamSearch(whole, TOKEN_IDS).leaves(small, beam_size=2, filters=allow, **prompts(small))
    assert [sorted(leaves.row[user].tolist()) for user in (0, 1, 3)] == [[-1, 7], [3, 5], [-1, 0]]
    assert -1 not in leaves.row[2].tolist()


def test_rows_of_one_id_share_its_sequence_and_its_probability(small, codes):
    shared = np.concatenate([codes, codes[:9]])  # rows i and num_codes + i, for i below 9, have one ID
    search = TrieBeamSearch(torch_trie(shared), TOKEN_IDS)
    leaves = search.leaves(small, beam_size=len(shared), **prompts(small))
    output = generated(small, len(codes), custom_generate=search, max_new_tokens=3)
    ids = tokens_of(codes)
    sequences = output.sequences.unflatten(0, (USERS, len(codes)))[..., 1:].tolist()
    scores = output.sequences_scores.view(USERS, -1).tolist()
    for user in range(USERS):
        assert sorted(leaves.row[user].tolist()) == list(range(len(shared)))
        by_row = dict(zip(leaves.row[user].tolist(), leaves.score[user].tolist(), strict=True))
        assert sorted(map(tuple, sequences[user])) == sorted(ids)  # each ID is one sequence
        for sequence, score in zip(sequences[user], scores[user], strict=True):
            row = ids.index(tuple(sequence))
            sharers = [row, len(codes) + row] if row < 9 else [row]
            for sharer in sharers:
                assert by_row[sharer] == pytest.approx(3 * score - math.log(len(sharers)), abs=1e-4)


def test_a_row_that_is_denied_leaves_the_others_of_its_id(small, codes):
    trie = torch_trie(np.concatenate([codes, codes]))
    search = TrieBeamSearch(trie, TOKEN_IDS)
    deny = DenyRows.from_rows(trie, [range(len(codes))] * USERS)
    leaves = search.leaves(small, beam_size=100, filters=deny, **prompts(small))
    second = [set(range(len(codes), 2 * len(codes)))] * USERS
    assert [set(rows) - {-1} for rows in leaves.row.tolist()] == second


def test_a_catalogue_smaller_than_the_beam_is_filled_up_with_padding(small):
    one = np.array([[4, 0, 3]])
    search = TrieBeamSearch(torch_trie(one), TOKEN_IDS, eos_token_id=EOS)
    output = generated(small, 3, custom_generate=search)
    assert output.sequences.tolist() == [[PAD, 5, 9, 16, EOS], [PAD] * 5, [PAD] * 5] * USERS
    assert torch.isneginf(output.sequences_scores).tolist() == [False, True, True] * USERS
    leaves = search.leaves(small, beam_size=3, **prompts(small))
    assert leaves.row[:, 0].tolist() == [0] * USERS
    assert (leaves.row[:, 1:] == -1).all()


def test_a_user_who_may_have_nothing_gets_padding_and_its_neighbours_full_lists(small, codes):
    trie = torch_trie(codes)
    deny = DenyRows.from_rows(trie, [[], range(len(codes)), [], []])
    output = generated(small, 2, custom_generate=TrieBeamSearch(trie, TOKEN_IDS), filters=deny, max_new_tokens=3)
    assert output.sequences.unflatten(0, (USERS, 2))[1].tolist() == [[PAD] * 4] * 2
    assert torch.isneginf(output.sequences_scores).view(USERS, 2).any(1).tolist() == [False, True, False, False]


def test_length_penalty_divides_the_score_as_generate_does(small, codes):
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS, eos_token_id=EOS)
    by_penalty = [
        generated(small, 3, custom_generate=search, length_penalty=penalty).sequences_scores for penalty in (0.0, 2.0)
    ]
    assert torch.allclose(by_penalty[0], by_penalty[1] * 16)  # four tokens, the end included


def test_processors_of_generate_apply(model, codes):
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS, eos_token_id=EOS)
    allowed = followers(codes, prompt_length(model))
    bias = {"sequence_bias": {(6,): 9.0, (7,): -9.0, (6, 11): 5.0}}
    theirs = generated(model, 4, prefix_allowed_tokens_fn=allowed, **bias)
    mine = generated(model, 4, custom_generate=search, **bias)
    assert mine.sequences.tolist() == theirs.sequences.tolist()
    assert torch.allclose(mine.sequences_scores, theirs.sequences_scores, atol=1e-5)
    assert mine.sequences.tolist() != generated(model, 4, custom_generate=search).sequences.tolist()


def test_bfloat16_models_are_scored_in_float32(codes):
    model = t5().eval().to(torch.bfloat16)
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS)
    assert search.leaves(model, beam_size=3, **prompts(model)).score.dtype == torch.float32


def test_encoder_outputs_may_be_given_and_stay_as_they_are(small, codes):
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS)
    inputs = prompts(small)
    with torch.no_grad():
        read = small.get_encoder()(input_ids=inputs["inputs"], attention_mask=inputs["attention_mask"])
    before = read.last_hidden_state
    leaves = search.leaves(small, beam_size=6, encoder_outputs=read, attention_mask=inputs["attention_mask"])
    assert leaves.row.tolist() == search.leaves(small, beam_size=6, **inputs).row.tolist()
    assert read.last_hidden_state is before


SIZES_BEFORE_STOPS = (5, 6, 4)


def with_stops():
    """IDs of one, two and three codes, and the tokens of each, the end token included where it is a code."""
    random = np.random.default_rng(3)
    ids = {tuple(random.integers(0, size) for size in SIZES_BEFORE_STOPS[:length])
           for length in (1, 2, 2, 3, 3, 3, 3) for _ in range(3)}  # fmt: skip
    ids = sorted({*ids, (4,), (4, 1), (4, 1, 2)})
    tokens = [tuple(TOKEN_IDS[level][code] for level, code in enumerate(one)) + (EOS,) * (len(one) < 3) for one in ids]
    return ids, tokens


@pytest.mark.parametrize("max_new_tokens", [3, 4])
@torch.no_grad()
def test_ids_of_different_lengths_end_with_the_end_token_and_are_ranked_by_their_mean(model, max_new_tokens):
    sequences, ids = with_stops()
    trie = PrefixTrie.from_sequences(sequences, level_sizes=SIZES_BEFORE_STOPS).to("cpu")
    search = TrieBeamSearch(trie, TOKEN_IDS, eos_token_id=EOS)
    truth = {}
    for one in ids:
        after = forced_log_probs(model, [one])[:, 0].double()
        truth[one] = sum(after[:, level, token] for level, token in enumerate(one))
        truth[*one, EOS] = truth[one] + after[:, -1, EOS]
    leaves = search.leaves(model, beam_size=50, **prompts(model))
    for user in range(USERS):
        rows, scores = leaves.row[user].tolist(), leaves.score[user].tolist()
        assert sorted(rows) == list(range(len(ids)))
        assert scores == pytest.approx([truth[ids[row]][user].item() for row in rows], abs=1e-4)

    if max_new_tokens == 3 and model.generation_config.forced_eos_token_id is not None:
        return  # full IDs are cut
    written = [one if EOS in one or max_new_tokens == 3 else (*one, EOS) for one in ids]
    ends_free = model.generation_config.forced_eos_token_id is not None  # a forced end has probability 1
    output = generated(model, 50, custom_generate=search, max_new_tokens=max_new_tokens)
    sequences = output.sequences.unflatten(0, (USERS, 50))[..., prompt_length(model) :].tolist()
    for user in range(USERS):
        best = {one: truth[one[:3] if ends_free else one][user].item() / len(one) for one in written}
        expected = sorted(best, key=best.__getitem__, reverse=True)
        found = [tuple(sequence) for sequence in sequences[user][: len(ids)]]
        assert found == [one + (PAD,) * (len(found[0]) - len(one)) for one in expected]
        scores = output.sequences_scores.view(USERS, 50)[user, : len(ids)].tolist()
        assert scores == pytest.approx([best[one] for one in expected], abs=1e-4)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_shared_cross_attention_gives_the_same_lists_from_one_row_per_user(codes, name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS, eos_token_id=EOS)
    inputs = prompts(model)
    kept = []

    def keep_keys(module, args, kwargs, output):
        kept.append(kwargs["past_key_values"].cross_attention_cache.layers[1].keys)

    def searched(**inputs):
        kept.clear()
        hook = model.get_decoder().register_forward_hook(keep_keys, with_kwargs=True)
        leaves = search.leaves(model, beam_size=8, **inputs)
        hook.remove()
        return leaves

    theirs, unpadded = generated(model, 3), searched(inputs=inputs["inputs"])
    before = searched(**inputs)
    assert [len(keys) for keys in kept] == [4, 20, 32]
    share_cross_attention(model)
    after = searched(**inputs)
    assert [len(keys) for keys in kept] == [4, 4, 4]
    assert after.row.tolist() == before.row.tolist()
    assert torch.allclose(after.score, before.score, atol=1e-5)
    assert searched(inputs=inputs["inputs"]).row.tolist() == unpadded.row.tolist()
    assert search.leaves(model, beam_size=8, use_cache=False, **inputs).row.tolist() == before.row.tolist()
    assert torch.equal(generated(model, 3).sequences_scores, theirs.sequences_scores)  # generate itself is as it was


def test_what_beams_read_of_the_input_is_copied_only_when_there_are_more_of_them(small):
    # 5 * 2 first prefixes, then as many IDs
    codes = np.array([[a, b, 0] for a in range(5) for b in range(2)])
    keys, hidden = [], []

    def keep(module, args, kwargs, output):
        keys.append(kwargs["past_key_values"].cross_attention_cache.layers[0].keys)
        hidden.append(kwargs["encoder_hidden_states"])

    hook = small.get_decoder().register_forward_hook(keep, with_kwargs=True)
    generated(small, 10, custom_generate=TrieBeamSearch(torch_trie(codes), TOKEN_IDS, eos_token_id=EOS))
    hook.remove()
    for kept in (keys, hidden):
        assert [len(each) for each in kept] == [4, 20, 40, 40]
        assert kept[2].data_ptr() == kept[3].data_ptr()


def test_only_an_encoder_decoder_with_plain_attention_can_share_its_input():
    with pytest.raises(ValueError, match="LlamaForCausalLM is decoder-only"):
        share_cross_attention(MODELS["llama"]())
    model = t5()
    model.set_attn_implementation("eager")
    with pytest.raises(ValueError, match='is "eager"; load it with attn_implementation="sdpa"'):
        share_cross_attention(model)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"do_sample": True}, "does not sample: give do_sample=False"),
        ({"output_attentions": True}, "leave out output_logits"),
        ({"max_new_tokens": 2}, "must be at least 3, an ID's length; got 2"),
        ({"prefix_allowed_tokens_fn": lambda batch, sentence: [5]}, "leave out prefix_allowed_tokens_fn"),
        ({"forced_bos_token_id": BOS}, "leave out forced_bos_token_id"),
    ],
)
def test_settings_that_a_trie_beam_search_cannot_follow_are_refused(small, codes, settings, complaint):
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS)
    with pytest.raises(ValueError, match=complaint):
        small.generate(**prompts(small), **{"max_new_tokens": 3, **settings}, custom_generate=search, num_beams=2)


@pytest.fixture
def without_type_checks():
    """The checks that the tests put around every annotated function would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("without_type_checks")
def test_a_score_that_there_is_not_is_refused(codes):
    with pytest.raises(ValueError, match='score must be "vocabulary", "joint" or "catalog"; got \'mean\''):
        TrieBeamSearch(torch_trie(codes), TOKEN_IDS, score="mean")


def test_tokens_that_the_model_does_not_have_are_refused(small, codes):
    search = TrieBeamSearch(torch_trie(codes), [*TOKEN_IDS[:2], [18, 15, 17, 20]])
    with pytest.raises(ValueError, match="token_ids go up to 20, but the model has 20 tokens"):
        search.leaves(small, beam_size=2, **prompts(small))


def test_a_cache_that_already_holds_tokens_is_refused(codes):
    model = MODELS["llama"]().eval()
    search = TrieBeamSearch(torch_trie(codes), TOKEN_IDS)
    tokens = prompts(model)["inputs"][:1]
    with torch.no_grad():
        cache = model(tokens[:, :3], use_cache=True).past_key_values
    with pytest.raises(ValueError, match="already holds tokens; give the whole prompt"):
        search.leaves(model, inputs=tokens, past_key_values=cache, beam_size=2)


def test_the_example_of_the_module_runs():
    lines = ast.get_docstring(ast.parse(Path(trie.generate.__file__).read_text(encoding="utf-8"))).splitlines()
    names = {}
    exec("\n".join(line[4:] for line in lines if line.startswith("    ") or not line), names)
    assert names["sequences"].shape == (4, 3)  # two users, two sequences of a start token and two codes
    assert sorted(names["leaves"].row[0].tolist()) == [-1, 1, 2]
    assert sorted(names["leaves"].row[1].tolist()) == [0, 1, 2]
