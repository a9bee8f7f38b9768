"""The pure parts of the benchmark of adaptive width; what it measures is run by hand."""

import numpy as np
import torch

from benchmarks.adaptive import PARTS, Setting, noted_beams, shown
from genrec.generator import beam_search
from trie import PrefixTrie
from trie.step import Beams


def test_beams_are_noted_as_they_are_asked_and_as_they_live():
    trie = PrefixTrie.from_codes(np.arange(4)[:, None]).to("cpu")
    score = torch.tensor([[0.97, 0.01, 0.01, 0.01], [0.5, 0.4, 0.05, 0.05]]).log()
    node, before = torch.arange(4).expand(2, -1), beam_search.narrowed
    with noted_beams() as noted:
        beam_search.narrowed(trie, Beams(node, score, node, node, torch.zeros(2)), mass=0.8)
        beam_search.narrowed(trie, Beams(node, score, node, node, torch.zeros(2)), mass=1.0)
    # .97 is enough for the first user, the second needs .5 + .4, and the batch is as wide as the second
    assert noted == {"beams_asked": [4, 8], "beams_alive": [3, 8]}
    assert beam_search.narrowed is before


def test_every_setting_has_a_line():
    quality = {part: {"recall@10": 0.25, "ndcg@10": 0.125} for part in PARTS}
    cost = {"beams_asked": 101.0, "beams_alive": 48.25, "mean_certified": 9.5, "time_ratio": 0.9}
    found, scores = {"quality": quality, "batch_1": cost, "batch_64": cost}, ("joint", "catalog")
    lines = shown({Setting(score, 50, 0.8): found for score in scores}).splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [[score, "50", "0.8", "0.2500"] for score in scores]
    assert len({len(line) for line in lines}) == 1
