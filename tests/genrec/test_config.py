"""The experiment's config: the tree of the owners' classes, its YAML, its schema, and the built-in files."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genrec import config as config_module
from genrec.config import (
    ExperimentConfig,
    TokenizerConfig,
    builtin_config,
    builtin_names,
    config_from_mapping,
    load_config,
    schema,
    to_yaml,
)
from genrec.errors import ConfigError
from genrec.yaml_document import parse_document


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A package folder with two built-in configs, and an empty working folder."""
    (tmp_path / "package" / "configs").mkdir(parents=True)
    (tmp_path / "package" / "configs" / "demo.yaml").write_text("seed: 3\n")
    (tmp_path / "package" / "configs" / "office.yaml").write_text("seed: 4\n")
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(config_module, "files", lambda package: tmp_path / "package")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    return folder / "own.yaml"


def test_an_empty_file_is_the_experiment_with_every_default(tmp_path):
    assert load_config(written(tmp_path, "")) == ExperimentConfig() == config_from_mapping({})


def test_values_reach_the_owners_configs(tmp_path):
    path = written(tmp_path, "seed: 7\ntokenizer:\n  num_levels: 4\n  rqvae: {learning_rate: 1e-4}\n")
    config = load_config(path, ["generator.dropout=0.25", "tokenizer.kind=residual_kmeans"])
    assert (config.seed, config.tokenizer.num_levels, config.tokenizer.rqvae.learning_rate) == (7, 4, 1e-4)
    assert (config.generator.dropout, config.tokenizer.kind) == (0.25, "residual_kmeans")


def test_an_unknown_key_is_refused_with_a_suggestion_file_and_line(tmp_path):
    path = written(tmp_path, "seed: 1\ntokenizer:\n  num_level: 4\n  codebook_size: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).splitlines() == [
        f"{path}:3: tokenizer.num_level is unknown; did you mean 'num_levels'?",
        f"{path}:4: tokenizer.codebook_size must be at least 2, got 1",
    ]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_outside_of_32_bits_is_refused(seed):
    with pytest.raises(ConfigError, match="seed must lie in"):
        config_from_mapping({"seed": seed})


def test_no_levels_are_refused():
    with pytest.raises(ValueError, match="num_levels must be at least 1, got 0"):
        TokenizerConfig(num_levels=0)


def test_a_config_written_as_yaml_reads_back_as_the_same_config(tmp_path):
    config = config_from_mapping(
        {
            "data": {"format": "table", "interactions": "no", "columns": {"user": "1e3", "time": ""}},
            "tokenizer": {"codes": "2024-05-06", "rqvae": {"hidden_sizes": (512, 8), "weight_decay": 1e-30}},
            "training": {"optimizer": {"learning_rate": 0.1 + 0.2}},
        }
    )
    text = to_yaml(config)
    assert load_config(written(tmp_path, text)) == config
    assert to_yaml(load_config(tmp_path / "own.yaml")) == text


def test_the_yaml_names_every_key_of_every_section():
    def keys(value):
        return {name: keys(inner) for name, inner in value.items()} if isinstance(value, dict) else None

    assert keys(yaml.safe_load(to_yaml(ExperimentConfig()))) == keys(dataclasses.asdict(ExperimentConfig()))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.text(),
        st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    )
)
def test_all_text_and_numbers_survive_the_way_through_yaml(mapping):
    back = parse_document(to_yaml(mapping), source="x").mapping
    assert back == mapping
    assert [type(value) for value in back.values()] == [type(value) for value in mapping.values()]


def test_the_schema_lists_every_section_and_closes_it_to_other_keys():
    document = schema()
    sections = {name for name, part in document["properties"].items() if "$ref" in part or "allOf" in part}
    assert sections == {field.name for field in dataclasses.fields(ExperimentConfig)} - {"seed", "earlier_run"}
    assert document["additionalProperties"] is False
    assert document["$defs"]["TokenizerConfig"]["additionalProperties"] is False
    assert document["$defs"]["TokenizerConfig"]["properties"]["kind"]["enum"][:2] == ["rqvae", "residual_kmeans"]


@pytest.mark.parametrize("name", ["demo", "demo.yaml", "configs/demo.yaml"])
def test_a_built_in_config_is_found_by_its_name(shelf, name):
    assert load_config(name).seed == 3
    assert builtin_names() == ["demo", "office"]
    assert builtin_config("office").read_text() == "seed: 4\n"


def test_a_file_of_ones_own_goes_before_a_built_in_config(shelf):
    Path("configs").mkdir()
    Path("configs/demo.yaml").write_text("seed: 5\n")
    assert load_config("configs/demo.yaml").seed == 5
    assert load_config("demo").seed == 3


def test_in_a_checkout_the_configs_lie_beside_the_package(shelf):
    (shelf / "package" / "configs").rename(shelf / "configs")
    assert builtin_config("demo") == shelf / "configs" / "demo.yaml"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dmeo", "'dmeo', and none of this name is built in; did you mean 'demo'?"),
        ("configs/zzz.yaml", "'zzz.yaml', and none of this name is built in; built in are: demo, office"),
        ("other/demo.yaml", "other/demo.yaml does not exist; expected a YAML file or one of: demo, office"),
        ("../work", "../work is a folder; expected a YAML file such as ../work/config.yaml"),
        ("..", "'..', and none of this name is built in"),
    ],
)
def test_a_config_that_is_nowhere_is_an_error_that_names_what_there_is(shelf, name, message):
    with pytest.raises(ConfigError) as caught:
        load_config(name)
    assert message in str(caught.value)


def test_a_file_that_is_not_utf8_is_an_error_with_its_name(tmp_path):
    (tmp_path / "own.yaml").write_bytes(b"seed: \xff")
    with pytest.raises(ConfigError, match=r"own.yaml cannot be read: .* expected a YAML file in UTF-8"):
        load_config(tmp_path / "own.yaml")


@pytest.mark.parametrize("name", builtin_names())
def test_every_config_of_the_project_loads(name):
    config = load_config(builtin_config(name))
    assert config_from_mapping(parse_document(to_yaml(config), source=name).mapping) == config
