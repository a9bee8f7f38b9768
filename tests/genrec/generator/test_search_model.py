"""The folded model against its plain twin, the generator's own methods."""

import pytest
import torch

from genrec.generator.beam_search import beam_search
from genrec.generator.folded_cross_attention import LongHistory, ShortHistory
from genrec.generator.search_model import SearchModel
from trie import DenyRows

search_loop = beam_search.__wrapped__  # without the decorator, which the compiler does not see through

HISTORIES = torch.tensor([[3, 9, 12, 4], [5, -1, -1, -1], [7, 7, -1, -1]])


def shaken(generator):
    """With norms, biases and scales that are not the ones and zeros of a fresh model, so that folding them shows."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in generator.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=random) * 0.3)
    return generator


@pytest.mark.parametrize("encoder", ["causal_items", "bidirectional_tokens"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_every_step_says_what_the_generator_says(small_generator, encoder, activation):
    generator = shaken(small_generator(encoder, activation=activation, encoder_layers=2))
    folded = SearchModel(generator)
    with torch.inference_mode():
        models = generator, folded
        reads = [model.read_history(HISTORIES) for model in models]
        torch.testing.assert_close(reads[0].start, reads[1].start, atol=1e-5, rtol=1e-4)
        plain, ours = (model.next_code_logits(read, None) for model, read in zip(models, reads, strict=True))
        torch.testing.assert_close(ours[0], plain[0], atol=1e-5, rtol=1e-4)
        random = torch.Generator().manual_seed(0)
        beams = 1
        for size, width in ((7, 4), (5, 6)):
            parents = torch.randint(beams, (3, width), generator=random)
            codes = torch.randint(size, (3, width), generator=random)
            plain = generator.next_code_logits(reads[0], plain[1], codes=codes, parents=parents)
            ours = folded.next_code_logits(reads[1], ours[1], codes=codes, parents=parents)
            torch.testing.assert_close(ours[0], plain[0], atol=1e-5, rtol=1e-4)
            beams = width


def test_short_histories_are_folded_and_long_ones_are_not_and_both_read_alike(small_generator):
    generator = shaken(small_generator(max_items=40))
    folded = SearchModel(generator)
    short, long = torch.arange(16)[None], torch.arange(17)[None]  # 2 heads, width 16: 32 scores are the limit
    with torch.inference_mode():
        assert isinstance(folded.read_history(short).cross[0], ShortHistory)
        assert isinstance(folded.read_history(long).cross[0], LongHistory)
        for history in (short, long):
            expected, _ = generator.next_code_logits(generator.read_history(history), None)
            found, _ = folded.next_code_logits(folded.read_history(history), None)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_what_was_written_can_be_gone_on_from_twice(small_generator):
    generator = small_generator()
    folded = SearchModel(generator)
    with torch.inference_mode():
        read = folded.read_history(HISTORIES[:1])
        _, written = folded.next_code_logits(read, None)
        root = torch.tensor([[0]])
        first, _ = folded.next_code_logits(read, written, codes=torch.tensor([[2]]), parents=root)
        folded.next_code_logits(read, written, codes=torch.tensor([[6]]), parents=root)
        again, _ = folded.next_code_logits(read, written, codes=torch.tensor([[2]]), parents=root)
    assert torch.equal(first, again)


def test_a_search_finds_the_same_items(small_generator, prefix_trie):
    generator = shaken(small_generator())
    folded, trie = SearchModel(generator), prefix_trie.to("cpu")
    plain, ours = (
        beam_search(model, trie, model.read_history(HISTORIES), batch_size=3, beam_size=7)
        for model in (generator, folded)
    )
    assert torch.equal(plain.row, ours.row)
    torch.testing.assert_close(plain.score, ours.score, atol=1e-5, rtol=1e-4)


def test_items_that_came_later_are_read(small_generator):
    generator = shaken(small_generator())
    generator.add_items(torch.tensor([[6, 4, 2], [0, 0, 0]]))
    history = torch.tensor([[3, 40], [41, -1]])
    with torch.inference_mode():
        expected = generator.read_history(history).start
        torch.testing.assert_close(SearchModel(generator).read_history(history).start, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("score", ["joint", "catalog"])
def test_the_whole_search_compiles_into_one_graph_and_finds_the_same(small_generator, prefix_trie, score):
    model, trie = SearchModel(shaken(small_generator())), prefix_trie.to("cpu")
    filters = DenyRows.from_rows(trie, [[1, 2, 3], [], [30]])

    def search(history):
        read = model.read_history(history)
        return search_loop(model, trie, read, batch_size=3, beam_size=7, filters=filters, score=score)

    compiled = torch.compile(search, backend="aot_eager", fullgraph=True, dynamic=False)
    with torch.inference_mode():
        eager, static = search(HISTORIES), compiled(HISTORIES)
    assert torch.equal(static.row[:, : eager.row.shape[1]], eager.row)
    torch.testing.assert_close(static.score[:, : eager.row.shape[1]], eager.score, atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_items_are_scored_as_by_the_generator_again_and_again(small_generator):
    generator = small_generator()
    generator.embedding.add_items(torch.tensor([[1, 0, 2]]))
    generator.repeat_bias.by_age.uniform_(-1, 1)
    model, summary = SearchModel(generator), torch.randn(3, generator.config.width)
    by_content = generator.repeat_bias.added_to(summary @ generator.embedding.by_content().T, HISTORIES)
    for _ in range(2):
        by_item = generator.item_logits(summary, HISTORIES)
        torch.testing.assert_close(model.item_logits(summary, HISTORIES), by_item)
        torch.testing.assert_close(model.content_logits(summary, HISTORIES), by_content)
