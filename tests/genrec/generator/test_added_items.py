"""Items that came after the training: read and written by their codes, while weights and files stay as they are."""

import pytest
import torch

from genrec.generator.beam_search import beam_search
from genrec.generator.model import Generator
from trie import PrefixTrie

ENCODERS = ("causal_items", "bidirectional_tokens")
NEW = torch.tensor([[6, 4, 2], [0, 0, 1]])
"""Codes of the rows 40 and 41."""


@pytest.fixture
def extended(small_generator):
    def make(encoder="causal_items", **options):
        generator = small_generator(encoder, **options)
        generator.add_items(NEW)
        return generator

    return make


def logits_after(generator, history):
    return generator.next_code_logits(generator.read_history(history), None)[0]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_histories_of_old_items_are_read_as_before(encoder, small_generator, extended):
    history = torch.tensor([[3, 9, 12], [5, -1, -1]])
    assert torch.equal(logits_after(small_generator(encoder), history), logits_after(extended(encoder), history))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_new_item_is_read_as_its_codes_and_the_mean_item_vector(encoder, small_generator, extended):
    plain = small_generator(encoder)
    with torch.no_grad():
        mean = small_generator(encoder).embedding.item_vectors.weight.mean(0)
        plain.embedding.item_vectors.weight[7] = mean
    codes = plain.vocabulary.item_codes.clone()
    codes[7] = NEW[0]
    plain.vocabulary.set_codes(codes)
    torch.testing.assert_close(
        logits_after(plain, torch.tensor([[3, 7]])), logits_after(extended(encoder), torch.tensor([[3, 40]]))
    )


def test_without_item_vectors_a_new_item_is_its_codes_alone(small_generator, extended):
    generator = extended(item_vectors=False)
    tokens = NEW[1] + generator.vocabulary.offsets
    expected = generator.embedding.code_vectors(tokens).sum(0)
    torch.testing.assert_close(generator.embedding(torch.tensor([41]))[0], expected)


def test_the_item_head_scores_the_items_of_the_training_only(extended):
    generator = extended()
    history = torch.tensor([[41]])
    assert generator.item_logits(generator.read_history(history).start[:, 0], history, torch.tensor([0])).shape == (
        1,
        40,
    )


@pytest.mark.parametrize("encoder", ENCODERS)
def test_new_items_are_found_by_the_exact_score_of_their_codes(encoder, extended, codes):
    generator = extended(encoder)
    table = torch.cat([torch.from_numpy(codes), NEW])
    trie = PrefixTrie.from_codes(table.numpy(), level_sizes=(7, 5, 3)).to("cpu")
    history = torch.tensor([[3, 41]])
    leaves = beam_search(generator, trie, generator.read_history(history), batch_size=1, beam_size=42)
    assert sorted(leaves.row[0].tolist()) == list(range(42))
    for row in (40, 41):
        read = generator.read_history(history)
        logits, written = generator.next_code_logits(read, None)
        exact = logits[0, 0].log_softmax(-1)[table[row, 0]]
        for level in (1, 2):
            root = torch.zeros(1, 1, dtype=torch.int64)
            code = table[row, level - 1].reshape(1, 1)
            logits, written = generator.next_code_logits(read, written, codes=code, parents=root)
            exact = exact + logits[0, 0].log_softmax(-1)[table[row, level]]
        found = leaves.score[0][leaves.row[0] == row].item()
        assert found == pytest.approx(exact.item(), abs=1e-4)


def test_items_added_later_come_after_those_added_before(extended):
    generator = extended()
    generator.add_items(torch.tensor([[5, 1, 0]]))
    assert generator.vocabulary.codes_of(torch.tensor([40, 41, 42])).tolist() == [[6, 4, 2], [0, 0, 1], [5, 1, 0]]


def test_saving_leaves_added_items_out(extended, small_generator, tmp_path):
    extended().save_pretrained(tmp_path / "extended")
    small_generator().save_pretrained(tmp_path / "plain")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("extended", "plain")]
    assert weights[0] == weights[1]
    loaded = Generator.from_pretrained(tmp_path / "extended")
    loaded.add_items(NEW)
    history = torch.tensor([[3, 40]])
    assert torch.equal(logits_after(loaded, history), logits_after(extended(), history))


@pytest.mark.parametrize(("codes", "message"), [([[7, 0, 0]], "below the level sizes"), ([[0, 0]], "3 levels, got 2")])
def test_codes_that_do_not_fit_are_refused(small_generator, codes, message):
    with pytest.raises(ValueError, match=message):
        small_generator().add_items(torch.tensor(codes))
