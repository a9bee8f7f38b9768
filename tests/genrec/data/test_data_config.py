import pytest

from genrec.data.sources import DataConfig


def test_the_embedded_world_needs_no_files():
    assert DataConfig().format == "world"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "table"}, "interactions must name a file"),
        ({"interactions": "a.csv"}, "interactions must name a file"),
        ({"columns": {"itm": "sku"}}, "did you mean 'item'"),
        ({"columns": {"item": ""}}, "must name a column"),
        ({"k_core": -1}, "k_core must be 0"),
        ({"max_bad_share": 1.0}, "share of the rows"),
        ({"split": "global_time"}, "needs data.validation_from_unix_s"),
        ({"delimiter": "::"}, "one character"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**wrong)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", "excel", "data.format must be one of table, recbole"),
        ("repeats", "drop", "data.repeats must be one of keep"),
        ("time_unit", "minutes", "data.time_unit must be seconds"),
    ],
)
def test_a_choice_that_is_not_offered_is_refused_with_those_that_are(name, value, message):
    config = DataConfig()
    object.__setattr__(config, name, value)  # the type checker of the tests would refuse it first, in its own words
    with pytest.raises(ValueError, match=message):
        config.__post_init__()
