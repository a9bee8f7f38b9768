"""RecBole, MovieLens and the three releases of the Amazon reviews."""

import json

import pytest

from genrec.data.preparation import prepare
from genrec.data.sources import DataConfig
from genrec.errors import DataError


def read(folder, form, files, **options):
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    interactions, *items = files
    config = DataConfig(format=form, interactions=interactions, items=items[0] if items else None, **options)
    return prepare(config, data_dir=folder, seed=0)


def sequences(prepared):
    table = prepared.interactions
    return {user_id: table.item_ids[table.of(user)].tolist() for user, user_id in enumerate(table.user_ids.tolist())}


def field(prepared, name, item_id):
    return prepared.catalogue.fields[name][prepared.catalogue.row_of[item_id]]


def test_recbole_types_are_cut_off_the_header(tmp_path):
    files = {
        "toy.inter": 'user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\t"a\t5\t20.0\nu\tb\t4\t10.0\n',
        "toy.item": 'item_id:token\ttitle:token_seq\n"a\tBlue "cup"\nb\tLamp\n',
    }
    prepared = read(tmp_path, "recbole", files)
    assert sequences(prepared) == {"u": ["b", '"a']}
    assert field(prepared, "title", '"a') == 'Blue "cup"'


def test_movielens_1m_has_double_colons_and_latin_letters(tmp_path):
    files = {
        "ratings.dat": "1::10::5::978300760\n1::20::3::978300700\n",
        "movies.dat": "10::Misérables, Les (1995)::Drama|Musical\n20::Heat (1995)::Action\n".encode("iso-8859-1"),
    }
    prepared = read(tmp_path, "movielens", files)
    assert sequences(prepared) == {"1": ["20", "10"]}
    assert prepared.interactions.times.tolist() == [978300700, 978300760]
    assert field(prepared, "title", "10") == "Misérables, Les (1995)"
    assert field(prepared, "categories", "10") == "Drama, Musical"


def test_movielens_100k_has_tabs_and_a_flag_for_each_genre(tmp_path):
    flags = ["0"] * 19
    flags[1] = flags[5] = "1"
    files = {
        "u.data": "1\t10\t5\t881250949\n",
        "u.item": "|".join(["10", "Toy Story (1995)", "01-Jan-1995", "", "http://x", *flags]) + "\n",
    }
    prepared = read(tmp_path, "movielens", files)
    assert sequences(prepared) == {"1": ["10"]}
    assert field(prepared, "categories", "10") == "Action, Comedy"


def test_movielens_20m_is_csv(tmp_path):
    files = {
        "ratings.csv": "userId,movieId,rating,timestamp\n1,10,3.5,1112486027\n1,20,5,1112486028\n",
        "movies.csv": 'movieId,title,genres\n10,"Heat, The",Action|Crime\n20,Ran,(no genres listed)\n',
    }
    prepared = read(tmp_path, "movielens", files, min_rating=4.0, unknown_items="drop")
    assert sequences(prepared) == {"1": ["20"]}
    assert field(prepared, "title", "10") == "Heat, The"
    assert field(prepared, "categories", "20") == ""


def test_a_bad_line_between_double_colons_is_reported(tmp_path):
    with pytest.raises(DataError, match=r"ratings\.dat, line 2: column 'timestamp': 'soon'"):
        read(tmp_path, "movielens", {"ratings.dat": "1::10::5::978300760\n1::20::3::soon\n"})


def review(user, item, time):
    return json.dumps({"reviewerID": user, "asin": item, "overall": 5.0, "unixReviewTime": time}) + "\n"


def test_amazon_2014_metadata_are_python_dicts(tmp_path):
    item = {
        "asin": "a",
        "title": 'Nail "kit"',
        "price": 9.99,
        "categories": [["Beauty", "Nails"]],
        "related": {"x": ["b"]},
    }
    files = {
        "reviews_Beauty_5.json": review("u", "b", 20) + review("u", "a", 10),
        "meta_Beauty.json": f"{item!r}\n{{'asin': 'b', 'description': \"it's\"}}\n",
    }
    prepared = read(tmp_path, "amazon2014", files)
    assert sequences(prepared) == {"u": ["a", "b"]}
    assert field(prepared, "title", "a") == 'Nail "kit"'
    assert field(prepared, "price", "a") == "9.99"
    assert field(prepared, "categories", "a") == "Beauty > Nails"
    assert field(prepared, "description", "b") == "it's"


def test_code_in_amazon_2014_metadata_is_never_run(tmp_path):
    files = {
        "reviews.json": review("u", "a", 10),
        "meta.json": f"{{'asin': 'a'}}\n{{'asin': __import__('pathlib').Path({str(tmp_path / 'x')!r}).touch()}}\n",
    }
    with pytest.raises(DataError, match=r"meta\.json, line 2: neither JSON nor a Python dict"):
        read(tmp_path, "amazon2014", files)
    assert not (tmp_path / "x").exists()


def test_amazon_2018_keeps_the_first_of_items_that_come_twice(tmp_path):
    item = {"asin": "a", "title": "Cup", "category": ["Home", "Cups"], "feature": ["Blue.", "Big."], "also_buy": ["b"]}
    files = {
        "Home_5.json": review("u", "a", 10),
        "meta_Home.json": json.dumps(item) + "\n" + json.dumps(item | {"title": "Second"}) + "\n",
    }
    prepared = read(tmp_path, "amazon2018", files)
    assert field(prepared, "title", "a") == "Cup"
    assert field(prepared, "categories", "a") == "Home > Cups"
    assert field(prepared, "features", "a") == "Blue. Big."
    assert "also_buy" not in prepared.catalogue.fields
    assert prepared.report["dropped"]["repeated_item_rows"] == 1


def test_amazon_2023_times_are_milliseconds_and_the_store_is_the_brand(tmp_path):
    lines = [
        {"user_id": "u", "asin": "a1", "parent_asin": "a", "timestamp": 1588687728923},
        {"user_id": "u", "asin": "b1", "parent_asin": "b", "timestamp": 1588687700000},
    ]
    items = [{"parent_asin": "a", "title": "Cup", "store": "Cupco", "details": {"x": 1}}, {"parent_asin": "b"}]
    files = {
        "Home.jsonl": "".join(json.dumps(line) + "\n" for line in lines),
        "meta_Home.jsonl": "".join(json.dumps(item) + "\n" for item in items),
    }
    prepared = read(tmp_path, "amazon2023", files)
    assert sequences(prepared) == {"u": ["b", "a"]}
    assert prepared.interactions.times.tolist() == [1588687700, 1588687728]
    assert field(prepared, "brand", "a") == "Cupco"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("amazon2014", "u,a,5.0,20\nu,b,5.0,10\n"),
        ("amazon2018", "a,u,5.0,20\nb,u,5.0,10\n"),
        ("amazon2023", "user_id,parent_asin,rating,timestamp\nu,a,5.0,20000\nu,b,5.0,10000\n"),
    ],
)
def test_the_ratings_only_files_of_amazon_are_csv(tmp_path, form, text):
    prepared = read(tmp_path, form, {"ratings.csv": text})
    assert sequences(prepared) == {"u": ["b", "a"]}
    assert prepared.interactions.times.tolist() == [10, 20]


def test_the_embedded_world_is_a_source_like_any_other(tmp_path):
    from genrec.data.world import WorldConfig

    world = WorldConfig(num_items=60, num_users=20)
    first, second = (prepare(DataConfig(world=world), data_dir=tmp_path, seed=seed) for seed in (3, 3))
    assert sequences(first) == sequences(second)
    assert first.report["kept"]["users"] == 20
    assert len(first.catalogue) == 60
    assert all(first.catalogue.title(row) != first.catalogue.item_ids[row] for row in range(60))
