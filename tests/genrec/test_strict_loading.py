"""Loading a mapping into dataclasses: what is accepted, and how everything wrong is told at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from genrec.errors import ConfigError
from genrec.strict_loading import build, load_dataclass
from genrec.yaml_document import apply_override, parse_document


@dataclass(frozen=True)
class Wheel:
    size: int = 3
    spokes: tuple[int, ...] = ()
    axle: tuple[str, float] = ("steel", 1.0)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")


@dataclass(frozen=True)
class Cart:
    name: str = "cart"
    load: float = 1.0
    limit: float | None = None
    label: str | float = "none"
    kind: Literal["hand", "horse"] = "hand"
    count: int | Literal["auto"] = "auto"
    open: bool = False
    weights: dict[str, float] = field(default_factory=dict)
    wheel: Wheel = field(default_factory=Wheel)
    spare: Wheel | None = None


@dataclass(frozen=True)
class Coach:
    wheel: Wheel = field(default_factory=lambda: Wheel(size=9, spokes=(4, 5), axle=("oak", 2.0)))
    cart: Cart = field(default_factory=lambda: Cart(load=7.0, wheel=Wheel(size=8), spare=Wheel(size=6)))
    needy: "Needy" = field(default_factory=lambda: Needy(must=3))


@dataclass(frozen=True)
class Needy:
    must: int
    may: int = 4


def loaded(text: str, *overrides: str) -> Cart:
    document = parse_document(text, source="cart.yaml")
    for override in overrides:
        apply_override(document, override)
    return build(Cart, document)


def complaint(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(text, *overrides)
    return str(caught.value)


def test_a_section_changes_what_it_names_of_its_default_and_nothing_else():
    cart = {"wheel": {"axle": ["ash", 1]}, "spare": {}}
    coach = load_dataclass(Coach, {"wheel": {"size": 2}, "cart": cart, "needy": {"may": 5}}, source="x")
    assert coach.wheel == Wheel(size=2, spokes=(4, 5), axle=("oak", 2.0))
    assert coach.cart == Cart(load=7.0, wheel=Wheel(size=8, axle=("ash", 1.0)), spare=Wheel(size=6))
    assert coach.needy == Needy(must=3, may=5)
    assert load_dataclass(Coach, {"cart": {"spare": None}}, source="x").cart.spare is None


def test_an_empty_document_gives_every_default():
    assert loaded("") == loaded("# only a comment") == Cart()


def test_nested_mappings_become_nested_dataclasses_and_lists_become_tuples():
    cart = loaded("name: x\nwheel:\n  size: 4\n  spokes: [1, 2]\n  axle: [iron, 2]\nspare: {size: 5}\nweights: {a: 1}")
    assert cart == Cart("x", wheel=Wheel(4, (1, 2), ("iron", 2.0)), spare=Wheel(5), weights={"a": 1.0})
    assert isinstance(cart.wheel.spokes, tuple)
    assert isinstance(cart.weights["a"], float)


def test_a_mapping_of_python_values_is_read_like_yaml():
    assert load_dataclass(Cart, {"name": Path("a/b"), "wheel": {"spokes": (1,)}}, source="x") == Cart(
        "a/b", wheel=Wheel(spokes=(1,))
    )


@pytest.mark.parametrize(("written", "number"), [("1e-3", 0.001), ("2E5", 2e5), ("-1.5e+2", -150.0), ("7", 7.0)])
def test_numbers_in_scientific_notation_and_integers_are_floats_where_a_float_is_expected(written, number):
    cart = loaded(f"load: {written}\nlimit: {written}\nweights: {{a: {written}}}\nwheel: {{axle: [a, {written}]}}")
    assert (cart.load, cart.limit, cart.weights["a"], cart.wheel.axle[1]) == (number,) * 4
    assert isinstance(cart.load, float)


def test_text_that_looks_like_a_number_stays_text_where_text_is_expected():
    cart = loaded("name: 1e5\nlabel: 1e5")
    assert (cart.name, cart.label) == ("1e5", "1e5")


def test_a_date_stays_the_text_that_was_written():
    assert loaded("name: 2024-05-06").name == "2024-05-06"


def test_null_is_accepted_for_an_optional_key_only():
    assert loaded("limit: null\nspare:").spare is None
    assert complaint("load: null") == "cart.yaml:1: load is null; expected a number"
    assert complaint("wheel:") == (
        "cart.yaml:1: wheel is null; expected a section of keys; leave the key out to have the defaults"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wheel:\n  sise: 4", "cart.yaml:2: wheel.sise is unknown; did you mean 'size'?"),
        ("size: 4", "cart.yaml:1: size is unknown; did you mean 'wheel.size'?"),
        ("wheel: {zzz: 4}", "cart.yaml:1: wheel.zzz is unknown; known here: size, spokes, axle"),
        ("wheel: {size: 3.0}", "cart.yaml:1: wheel.size is 3.0; expected an integer"),
        ("wheel: {size: true}", "cart.yaml:1: wheel.size is true; expected an integer"),
        ("wheel: {size: '3'}", "cart.yaml:1: wheel.size is '3'; expected an integer"),
        ("load: yes", "cart.yaml:1: load is true; expected a number"),
        ("load: '3'", "cart.yaml:1: load is '3'; expected a number"),
        ("open: 1", "cart.yaml:1: open is 1; expected true or false"),
        ("name: 12", "cart.yaml:1: name is 12; expected text; write it in quotes"),
        ("kind: hosre", "cart.yaml:1: kind is 'hosre'; expected 'hand' or 'horse'; did you mean 'horse'?"),
        ("count: x", "cart.yaml:1: count is 'x'; expected an integer or 'auto'"),
        ("load: .nan", "cart.yaml:1: load is nan; expected a finite number"),
        ("limit: -.inf", "cart.yaml:1: limit is -inf; expected a finite number"),
        ("load: 1e999", "cart.yaml:1: load is inf; expected a finite number"),
        ("weights:\n  a: 1\n  b: x", "cart.yaml:3: weights.b is 'x'; expected a number"),
        ("weights: {1: 2}", "cart.yaml:1: weights.1 has a key that is not text; write '1' in quotes"),
        ("wheel:\n  spokes:\n  - 1\n  - a", "cart.yaml:2: wheel.spokes.1 is 'a'; expected an integer"),
        ("wheel: {spokes: 1}", "cart.yaml:1: wheel.spokes is 1; expected a list"),
        ("wheel: {axle: [a]}", "cart.yaml:1: wheel.axle.1 is missing"),
        ("name: !!binary aGk=", "cart.yaml:1: name is of type bytes; expected text, a number, a list or a section"),
        ("wheel: 3", "cart.yaml:1: wheel is 3; expected a section of keys"),
        ("- a", 'cart.yaml: the file holds ["a"]; expected sections such as `data:` with keys below them'),
    ],
)
def test_a_wrong_key_or_value_is_named_with_place_value_and_what_was_expected(text, message):
    assert complaint(text) == message


def test_every_error_is_told_at_once_in_the_order_of_the_file():
    text = "load: x\nwheel:\n  size: 0\nkimd: hand\nspare:\n  size: a\nload: y\n"
    assert complaint(text, "name=3").splitlines() == [
        "cart.yaml:3: wheel.size must be at least 1, got 0",
        "cart.yaml:4: kimd is unknown; did you mean 'kind'?",
        "cart.yaml:6: spare.size is 'a'; expected an integer",
        "cart.yaml:7: load is written twice, first in line 1; keep one",
        "override 'name=3': name is 3; expected text; write it in quotes",
    ]


def test_a_missing_key_is_named():
    with pytest.raises(ConfigError, match=r"^needy: must is missing$"):
        load_dataclass(Needy, {}, source="needy")


def test_aliases_are_refused_so_that_a_small_file_cannot_grow_large():
    assert "cart.yaml:2: spare is an alias" in complaint("wheel: &a {size: 2}\nspare: *a")
    assert "is an alias" in complaint("a: &a [*a]")


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\t", "name: !!python/object:os.system {}", "? [a]\n: b", "a: \x01"]
)
def test_what_is_not_plain_yaml_is_a_config_error_with_the_file(text):
    assert complaint(text).startswith("cart.yaml")


def test_bad_yaml_is_placed_by_line_and_column():
    assert complaint("name: a\nload: b: c").startswith("cart.yaml:2:8: cannot be read as YAML: ")


def test_overrides_set_nested_keys_and_the_last_one_wins():
    cart = loaded("wheel: {size: 2}", "wheel.spokes=[1, 2]", "load=1e-3", "load=2e-3", "name=a=b", "spare.size=9")
    assert cart == Cart("a=b", load=0.002, wheel=Wheel(2, (1, 2)), spare=Wheel(9))


def test_an_override_of_a_section_replaces_all_of_it():
    assert loaded("wheel: {size: 2, spokes: [1]}", "wheel={size: 7}").wheel == Wheel(7)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("wheel.sise=3", "override 'wheel.sise=3': wheel.sise is unknown; did you mean 'size'?"),
        ("whel.size=3", "override 'whel.size=3': whel is unknown; did you mean 'wheel'?"),
        ("wheel.size=many", "override 'wheel.size=many': wheel.size is 'many'; expected an integer"),
        ("wheel.size", "override 'wheel.size': expected the form section.key=value"),
        (".size=3", "override '.size=3': expected the form section.key=value"),
        (
            "wheel={size: 1, size: 2}",
            "override 'wheel={size: 1, size: 2}': wheel.size is written twice, first in line 1; keep one",
        ),
        ("name.x=1", "override 'name.x=1': name is {\"x\": 1}; expected text"),
    ],
)
def test_a_bad_override_is_named_as_it_was_written(override, message):
    assert complaint("wheel:\n  size: 2\nname: a", override) == message


def test_an_override_that_is_no_yaml_is_told_beside_the_other_errors():
    lines = complaint("lod: 1", "wheel.spokes=[1").splitlines()
    assert lines[0] == "cart.yaml:1: lod is unknown; did you mean 'load'?"
    assert lines[1].startswith("override 'wheel.spokes=[1': ") and "cannot be read as YAML" in lines[1]


def test_a_class_that_refuses_a_value_left_at_its_default_is_told_at_its_section():
    @dataclass(frozen=True)
    class Odd:
        size: int = 2

        def __post_init__(self) -> None:
            raise ValueError("size 2 is odd")

    @dataclass(frozen=True)
    class Holder:
        odd: Odd | None = None

    with pytest.raises(ConfigError, match=r"^x: odd: size 2 is odd$"):
        load_dataclass(Holder, {"odd": {}}, source="x")
