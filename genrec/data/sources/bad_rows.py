"""What happens to rows that cannot be read: refused, or counted and told."""

import logging
from collections.abc import Sequence

from genrec.data.sources.config import DataConfig
from genrec.errors import DataError

_LOG = logging.getLogger(__name__)
NUM_EXAMPLES = 5


def check_bad_share(num_bad: int, num_rows: int, examples: Sequence[str], config: DataConfig) -> None:
    """Refuse (DataError) more bad rows than `config.max_bad_share`; warn of fewer. `examples` are the first of them."""
    if not num_bad:
        return
    shown = "\n".join(f"  {example}" for example in examples[:NUM_EXAMPLES])
    summary = f"{num_bad} of {num_rows} rows cannot be read:\n{shown}"
    if num_bad > config.max_bad_share * num_rows:
        raise DataError(
            f"{summary}\nMend the file, or let up to a share of the rows be dropped: "
            f"data.max_bad_share (now {config.max_bad_share:g})"
        )
    _LOG.warning("%s\nThey are dropped, as data.max_bad_share allows", summary)
