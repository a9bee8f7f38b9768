"""The model against plain twins: one position at a time, one beam at a time."""

import pytest
import torch

from genrec.generator.config import GeneratorOptions
from genrec.generator.model import Generator

ENCODERS = ("causal_items", "bidirectional_tokens")


def written_code_by_code(generator, history, target, codes_of):
    """Logits of every level, each from a decoder that has been given one code more."""
    read = generator.read_history(history)
    logits, written = generator.next_code_logits(read, None)
    levels = [logits[:, 0]]
    for level in range(1, codes_of.shape[1]):
        codes = codes_of[target][:, None, level - 1]
        root = torch.zeros_like(codes)
        logits, written = generator.next_code_logits(read, written, codes=codes, parents=root)
        levels.append(logits[:, 0])
    return levels


@pytest.mark.parametrize("encoder", ENCODERS)
def test_writing_code_by_code_with_the_cache_gives_the_logits_of_training(encoder, small_generator, codes):
    generator = small_generator(encoder)
    history = torch.tensor([[3, 9, 12], [5, -1, -1]])
    target = torch.tensor([20, 31])
    targets = torch.tensor([[-1, -1, 20], [31, -1, -1]]) if encoder == "causal_items" else target[:, None]
    trained = generator(history, targets).code_logits
    for level, logits in enumerate(written_code_by_code(generator, history, target, torch.from_numpy(codes))):
        torch.testing.assert_close(trained[level], logits, atol=1e-5, rtol=1e-4)


def test_every_position_trained_in_one_pass_equals_its_prefix_alone(small_generator):
    generator = small_generator()
    torch.nn.init.normal_(generator.repeat_bias.by_age)
    history, targets = torch.tensor([[3, 9, 12, 4]]), torch.tensor([[9, 12, 4, 20]])
    together = generator(history, targets, with_item_logits=True)
    for position in range(4):
        alone = generator(history[:, : position + 1], targets[:, : position + 1], with_item_logits=True)
        for level in range(3):
            torch.testing.assert_close(
                together.code_logits[level][position], alone.code_logits[level][position], atol=1e-5, rtol=1e-4
            )
        torch.testing.assert_close(together.item_logits[position], alone.item_logits[position], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_and_batching_change_nothing(encoder, small_generator):
    generator = small_generator(encoder)
    alone = generator.read_history(torch.tensor([[3, 9]]))
    padded = generator.read_history(torch.tensor([[1, 2, 3, 4], [3, 9, -1, -1]]))
    logits_alone, _ = generator.next_code_logits(alone, None)
    logits_padded, _ = generator.next_code_logits(padded, None)
    torch.testing.assert_close(logits_alone[0], logits_padded[1], atol=1e-5, rtol=1e-4)


def test_a_beam_takes_the_cache_of_its_parent(small_generator):
    generator = small_generator()
    read = generator.read_history(torch.tensor([[3, 9]]))
    _, written = generator.next_code_logits(read, None)
    root = torch.zeros(1, 2, dtype=torch.int64)
    _, written = generator.next_code_logits(read, written, codes=torch.tensor([[6, 2]]), parents=root)
    crossed, _ = generator.next_code_logits(read, written, codes=torch.tensor([[1, 1]]), parents=torch.tensor([[1, 0]]))
    for beam, first_code in ((0, 2), (1, 6)):
        _, own = generator.next_code_logits(read, None)
        _, own = generator.next_code_logits(read, own, codes=torch.tensor([[first_code]]), parents=root[:, :1])
        logits, _ = generator.next_code_logits(read, own, codes=torch.tensor([[1]]), parents=root[:, :1])
        torch.testing.assert_close(crossed[0, beam], logits[0, 0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_saving_and_loading_keeps_every_logit_and_the_codes(encoder, tmp_path, small_generator, codes):
    generator = small_generator(encoder)
    generator.save_pretrained(tmp_path)
    loaded = Generator.from_pretrained(tmp_path)
    history, targets = torch.tensor([[3, 9]]), torch.tensor([[-1, 20]] if encoder == "causal_items" else [[20]])
    for before, after in zip(
        generator(history, targets).code_logits, loaded(history, targets).code_logits, strict=True
    ):
        assert torch.equal(before, after)
    assert torch.equal(loaded.vocabulary.item_codes.long(), torch.from_numpy(codes))
    assert not list(tmp_path.glob("*.bin"))


def test_auto_model_finds_the_generator(tmp_path, small_generator):
    from transformers import AutoModel

    small_generator().save_pretrained(tmp_path)
    assert isinstance(AutoModel.from_pretrained(tmp_path), Generator)


def test_without_item_vectors_items_of_equal_codes_are_read_alike(small_generator, codes):
    generator = small_generator(item_vectors=False)
    codes = torch.from_numpy(codes.copy())
    codes[1] = codes[0]
    generator.vocabulary.set_codes(codes)
    vectors = generator.embedding.all()
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])


def test_codes_beyond_their_level_are_refused(small_generator, codes):
    generator = small_generator()
    with pytest.raises(ValueError, match=r"below the level sizes"):
        generator.vocabulary.set_codes(torch.from_numpy(codes) + 7)


@pytest.mark.parametrize(("key", "value"), [("width", 0), ("dropout", 1.0), ("num_heads", 3), ("max_items", 0)])
def test_options_out_of_range_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        GeneratorOptions(**{key: value})
