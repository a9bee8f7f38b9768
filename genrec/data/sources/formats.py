"""What each `data.format` means, and how the files that a config names are read."""

from functools import partial
from pathlib import Path

from genrec.data.sources.amazon import AMAZON_2014, AMAZON_2018, AMAZON_2023
from genrec.data.sources.columns import Columns
from genrec.data.sources.config import DataConfig
from genrec.data.sources.file_format import FileFormat
from genrec.data.sources.files import data_files
from genrec.data.sources.items import read_items, table_records
from genrec.data.sources.movielens import MOVIELENS
from genrec.data.sources.raw import RawData, RawItems
from genrec.data.sources.recbole import RECBOLE
from genrec.data.sources.rows import open_database, read_rows
from genrec.data.sources.sequences import SEQUENCES
from genrec.data.sources.table import table_part
from genrec.data.sources.world import read_world

_FORMATS = {
    "recbole": RECBOLE,
    "movielens": MOVIELENS,
    "amazon2014": AMAZON_2014,
    "amazon2018": AMAZON_2018,
    "amazon2023": AMAZON_2023,
    "sequences": SEQUENCES,
}


def read_source(config: DataConfig, *, data_dir: Path, seed: int) -> RawData:
    """The interactions and items that the config names; relative paths start at `data_dir`, `seed` is the world's.

    Raises: DataError, with file, line and column, for data that cannot be used as it is.
    """
    if config.interactions is None:
        return read_world(config.world, seed=seed)
    form = _form(config)
    items = None if config.items is None else read_items_file(data_dir / config.items, config)
    columns = form.columns.configured(config)
    with open_database() as database:
        parts = [form.part(database, path, columns) for path in data_files(data_dir / config.interactions)]
        known_items = set(items.item_ids) if items else None
        return RawData(read_rows(database, parts, config, known_items=known_items), items)


def read_items_file(path: Path, config: DataConfig) -> RawItems:
    """Items in the form of the configured format (for the embedded world: a table with item_id), file or folder.

    Raises: DataError as `read_source`.
    """
    form = _form(config)
    item_id = config.items_id or form.items_id
    return read_items(data_files(path), form.items, config, item_id=item_id, keep_first=form.keep_first_item)


def _form(config: DataConfig) -> FileFormat:
    return _FORMATS[config.format] if config.format in _FORMATS else _table(config)


def _table(config: DataConfig) -> FileFormat:
    part = partial(table_part, delimiter=config.delimiter)
    records = partial(table_records, delimiter=config.delimiter)
    return FileFormat(Columns(), part, records, items_id=config.columns.get("item", "item_id"))
