"""Every format of the outside world -> raw interactions and items."""

from genrec.data.sources.config import DataConfig
from genrec.data.sources.formats import read_items_file, read_source
from genrec.data.sources.items import NoItemsError
from genrec.data.sources.raw import RawData, RawInteractions, RawItems

__all__ = ["DataConfig", "NoItemsError", "RawData", "RawInteractions", "RawItems", "read_items_file", "read_source"]
