"""The public data sets that can be fetched by name: where their files are, and how a config reads them."""

import difflib
from typing import NamedTuple

from genrec.errors import DataError

_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_SNAP = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
_MCAULEY = "https://mcauleylab.ucsd.edu/public_datasets/data"
_MOVIELENS_TERMS = "MovieLens: for research, not to be redistributed without permission; see the README in the archive"
_AMAZON_TERMS = "Amazon reviews: collected by J. McAuley's group, for research; please cite their paper"


class RemoteFile(NamedTuple):
    """A file to fetch. md5: as its publisher gives it, if he does. members: for a .zip, what is taken out of it."""

    url: str
    md5: str | None = None
    members: tuple[str, ...] = ()


class DataSet(NamedTuple):
    """A set by name; `format`, `interactions` and `items` are what the config's data section says about it."""

    name: str
    files: tuple[RemoteFile, ...]
    format: str
    interactions: str
    items: str
    terms: str

    @property
    def paths(self) -> tuple[str, str]:
        """The config's `interactions` and `items`, as paths from the data folder."""
        return f"{self.name}/{self.interactions}", f"{self.name}/{self.items}"


# name: archive, its folder, ratings, movies, MD5 as published beside the archive (ml-32m: none known)
_MOVIELENS = {
    "100k": ("ml-100k", "ml-100k", "u.data", "u.item", "0e33842e24a9c977be4e0107933c0723"),
    "1m": ("ml-1m", "ml-1m", "ratings.dat", "movies.dat", "c4d9eecfca2ab87c1945afe126590906"),
    "10m": ("ml-10m", "ml-10M100K", "ratings.dat", "movies.dat", "ce571fd55effeba0271552578f2648bd"),
    "20m": ("ml-20m", "ml-20m", "ratings.csv", "movies.csv", "cd245b17a1ae2cc31bb14903e1204af3"),
    "25m": ("ml-25m", "ml-25m", "ratings.csv", "movies.csv", "6b51fb2759a8657d3bfcbfc42b592ada"),
    "32m": ("ml-32m", "ml-32m", "ratings.csv", "movies.csv", None),
}
_AMAZON_2014 = """
Amazon_Instant_Video Apps_for_Android Automotive Baby Beauty Books CDs_and_Vinyl Cell_Phones_and_Accessories
Clothing_Shoes_and_Jewelry Digital_Music Electronics Grocery_and_Gourmet_Food Health_and_Personal_Care Home_and_Kitchen
Kindle_Store Movies_and_TV Musical_Instruments Office_Products Patio_Lawn_and_Garden Pet_Supplies Sports_and_Outdoors
Tools_and_Home_Improvement Toys_and_Games Video_Games
"""
_AMAZON_2018 = """
AMAZON_FASHION All_Beauty Appliances Arts_Crafts_and_Sewing Automotive Books CDs_and_Vinyl Cell_Phones_and_Accessories
Clothing_Shoes_and_Jewelry Digital_Music Electronics Gift_Cards Grocery_and_Gourmet_Food Home_and_Kitchen
Industrial_and_Scientific Kindle_Store Luxury_Beauty Magazine_Subscriptions Movies_and_TV Musical_Instruments
Office_Products Patio_Lawn_and_Garden Pet_Supplies Prime_Pantry Software Sports_and_Outdoors
Tools_and_Home_Improvement Toys_and_Games Video_Games
"""
_AMAZON_2023 = """
All_Beauty Arts_Crafts_and_Sewing Automotive Baby_Products Beauty_and_Personal_Care Books CDs_and_Vinyl
Cell_Phones_and_Accessories Clothing_Shoes_and_Jewelry Electronics Grocery_and_Gourmet_Food Health_and_Household
Home_and_Kitchen Industrial_and_Scientific Kindle_Store Movies_and_TV Musical_Instruments Office_Products
Patio_Lawn_and_Garden Pet_Supplies Software Sports_and_Outdoors Tools_and_Home_Improvement Toys_and_Games Video_Games
"""


def _data_sets() -> dict[str, DataSet]:
    sets = [_movielens(size) for size in _MOVIELENS]
    sets += [_amazon_2014(category) for category in _AMAZON_2014.split()]
    sets += [_amazon_2018(category) for category in _AMAZON_2018.split()]
    sets += [_amazon_2023(category) for category in _AMAZON_2023.split()]
    return {known.name: known for known in sets}


def find_set(name: str) -> DataSet:
    """The set of that name, or the only one whose name begins so: `amazon2014-sports`.

    Raises: DataError for an unknown or ambiguous name.
    """
    if name in DATASETS:
        return DATASETS[name]
    longer = [other for other in DATASETS if other.startswith(name)]
    if len(longer) == 1:
        return DATASETS[longer[0]]
    near = longer or difflib.get_close_matches(name, DATASETS, n=5, cutoff=0.5) or list(DATASETS)[:10]
    problem = "is the beginning of several sets" if longer else "is not a set that can be fetched"
    raise DataError(f"{name!r} {problem}; did you mean one of {', '.join(near)}?")


def _movielens(size: str) -> DataSet:
    archive, folder, ratings, movies, md5 = _MOVIELENS[size]
    members = tuple(f"{folder}/{member}" for member in (ratings, movies))
    file = RemoteFile(f"{_GROUPLENS}/{archive}.zip", md5, members)
    return DataSet(f"movielens-{size}", (file,), "movielens", ratings, movies, _MOVIELENS_TERMS)


def _amazon_2014(category: str) -> DataSet:
    return _amazon("amazon2014", category, f"{_SNAP}/reviews_{category}_5.json.gz", f"{_SNAP}/meta_{category}.json.gz")


def _amazon_2018(category: str) -> DataSet:
    root = f"{_MCAULEY}/amazon_v2"
    reviews, metadata = f"categoryFilesSmall/{category}_5.json.gz", f"metaFiles2/meta_{category}.json.gz"
    return _amazon("amazon2018", category, f"{root}/{reviews}", f"{root}/{metadata}")


def _amazon_2023(category: str) -> DataSet:
    root = f"{_MCAULEY}/amazon_2023"
    ratings = f"benchmark/5core/rating_only/{category}.csv.gz"
    return _amazon("amazon2023", category, f"{root}/{ratings}", f"{root}/raw/meta_categories/meta_{category}.jsonl.gz")


def _amazon(release: str, category: str, interactions: str, items: str) -> DataSet:
    name = f"{release}-{category.lower().replace('_', '-')}"
    files = (RemoteFile(interactions), RemoteFile(items))
    names = [url.rsplit("/", 1)[1] for url in (interactions, items)]
    return DataSet(name, files, release, names[0], names[1], _AMAZON_TERMS)


DATASETS = _data_sets()
"""Every set that can be fetched, by name."""
