"""Files with one JSON object a line."""

import itertools
import json
from pathlib import Path

from genrec.data.sources.files import numbered_lines
from genrec.data.sources.rows import Place, quoted_path, quoted_text
from genrec.errors import DataError

_NUM_LINES_FOR_NAMES = 100


def json_object(line: str) -> dict | str:
    """The object on the line, numbers left as they are written; where there is none, what is wrong."""
    try:
        value = json.loads(line, parse_float=str, parse_int=str)
    except (json.JSONDecodeError, RecursionError) as error:
        return f"not JSON ({error})"
    return value if isinstance(value, dict) else "a JSON value, but not an object"


def json_names(path: Path) -> list[str]:
    """The keys of the first lines, in order of appearance. Raises: DataError for a file without JSON objects."""
    lines = list(itertools.islice(numbered_lines(path, errors="replace"), _NUM_LINES_FOR_NAMES))
    if not lines:
        raise DataError(f"{path} is empty: expected one JSON object a line")
    values = [json_object(line) for _, line in lines]
    names = dict.fromkeys(name for value in values if isinstance(value, dict) for name in value)
    if not names:
        number, problem = lines[0][0], values[0] or "an object without keys"
        raise DataError(f"{path}, line {number}: {problem}; expected one JSON object a line")
    return list(names)


def json_source(path: Path, types: dict[str, str]) -> str:
    """SQL: the lines as a table of those columns; a line that is not such an object is a row of NULLs."""
    listed = ", ".join(f"{quoted_text(name)}: {quoted_text(kind)}" for name, kind in types.items())
    file = quoted_path(path)
    return f"read_json({file}, format='newline_delimited', columns={{{listed}}}, ignore_errors=true)"


def json_place(path: Path, row: int) -> Place:
    """The line of the row-th (from 0) line that is not blank. Reads from the beginning: it is for error messages."""
    number, line = next(itertools.islice(numbered_lines(path, errors="replace"), row, None))
    value = json_object(line)
    return Place(f"line {number}", value if isinstance(value, str) else None)
