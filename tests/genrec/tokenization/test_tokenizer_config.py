import json
from pathlib import Path

import pytest

from genrec.config import config_from_mapping
from genrec.errors import ConfigError
from genrec.fingerprints import fingerprint
from genrec.stages import STAGES
from genrec.tokenization import TokenizerConfig
from tokenizer import RQVAEConfig


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_levels": 0}, "num_levels"),
        ({"codebook_size": 1}, "codebook_size"),
        ({"codes": "codes.json", "collisions": "balanced"}, "choose extra_code or keep"),
        ({"codes": "codes.json", "collisions": "nearest_free"}, "choose extra_code or keep"),
        ({"kind": "rqvae", "rqvae": RQVAEConfig(preparation="whiten")}, "rqvae.preparation is 'whiten'"),
        ({"collaborative_weight": 1.0}, "kind: collaborative"),
        ({"collaborative_weight": -0.1}, "at least 0"),
        ({"kind": "hybrid", "collaborative_weight": 0.5}, "not into kind hybrid"),
    ],
)
def test_choices_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**wrong)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "rqvea"}, "did you mean 'rqvae'"),
        ({"collisions": "nearest"}, "did you mean 'nearest_free'"),
        ({"collaborative": {"windows": 3}}, "did you mean 'window'"),
        ({"hierarchical_kmeans": {"projection": 3}}, "did you mean 'projection_dim'"),
        ({"kind": "hybrid", "collaborative_weight": 0.5}, "tokenizer.collaborative_weight blends"),
    ],
)
def test_a_config_file_gets_an_answer_that_helps(section, message):
    with pytest.raises(ConfigError, match=message):
        config_from_mapping({"tokenizer": section})


@pytest.mark.parametrize(
    ("options", "content", "collaborative"),
    [
        ({"kind": "rqvae"}, True, True),
        ({"kind": "rqvae", "collaborative_weight": 0.0}, True, False),
        ({"kind": "fsq", "collaborative_weight": 0.2}, True, True),
        ({"kind": "random"}, True, False),
        ({"kind": "sequential"}, False, False),
        ({"kind": "collaborative"}, True, True),
        ({"kind": "hybrid"}, True, True),
        ({"kind": "hybrid", "codes": "codes.json"}, False, False),
    ],
)
def test_each_kind_reads_what_it_needs(options, content, collaborative):
    config = TokenizerConfig(**options)
    assert (config.reads_content, config.reads_collaborative_vectors) == (content, collaborative)


def test_equal_codes_are_moved_to_free_ones_where_a_fitted_kind_knows_which_are_near():
    assert TokenizerConfig().chosen_collisions == "nearest_free"
    assert TokenizerConfig(collisions="keep").chosen_collisions == "keep"
    assert TokenizerConfig(kind="random").chosen_collisions == "extra_code"
    assert TokenizerConfig(codes="codes.json").chosen_collisions == "extra_code"
    assert fingerprint(TokenizerConfig().used()) == fingerprint(TokenizerConfig(collisions="nearest_free").used())


def test_codes_depend_on_the_section_of_their_kind_and_on_no_other():
    plain = TokenizerConfig(kind="residual_kmeans")
    other_kind = TokenizerConfig(kind="residual_kmeans", rqvae=RQVAEConfig(epochs=7))
    assert fingerprint(plain.used()) == fingerprint(other_kind.used())
    longer, usual = (TokenizerConfig(kind="rqvae", rqvae=RQVAEConfig(epochs=epochs)) for epochs in (7, 100))
    assert fingerprint(longer.used()) != fingerprint(usual.used())
    assert json.dumps(sorted(plain.used()))


def test_the_choice_of_collaborative_vectors_counts_where_they_are_read():
    def read(**section):
        config = config_from_mapping({"tokenizer": section})
        return fingerprint(STAGES["tokenize"].reads(config, Path()))

    window = {"collaborative": {"window": 2}}
    assert read(collaborative_weight=0.0, **window) == read(collaborative_weight=0.0)
    assert read(kind="collaborative", **window) != read(kind="collaborative")
    assert read(kind="rqvae", **window) != read(kind="rqvae")


def test_content_alone_may_be_prepared_otherwise():
    assert TokenizerConfig(collaborative_weight=0.0, rqvae=RQVAEConfig(preparation="whiten")).reads_content


def test_a_blend_by_default_is_told_from_one_that_was_asked_for():
    assert fingerprint(TokenizerConfig().used()) != fingerprint(TokenizerConfig(collaborative_weight=0.5).used())


def test_a_part_of_the_tree_section_keeps_the_defaults_for_collaborative_vectors():
    tree = config_from_mapping({"tokenizer": {"hierarchical_kmeans": {"iterations": 3}}}).tokenizer.hierarchical_kmeans
    assert (tree.preparation, tree.projection_dim, tree.iterations) == ("centre", None, 3)
