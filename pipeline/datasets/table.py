"""A plain table of pictures and captions, one caption a row.

    captions.csv    image,caption,split          or .tsv, .jsonl, .parquet; any single such file
    photos/         the pictures                 or beside the table

The columns may be called otherwise: see `PICTURE_COLUMNS`, `CAPTION_COLUMNS` and `SPLIT_COLUMN`;
case and blanks around a name do not count. A header is needed. Pictures are named relative to the
table's folder, or to one folder of pictures below it. Without a column of splits, `ingest` splits
by a hash of the picture's id. Captions are numbered in order of appearance: `<image_id>#0` and on.
A row that puts a picture into another split than its first row did is dropped: two_splits.
"""

import posixpath
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.datasets import facts_file
from pipeline.datasets.layout import (
    Layout,
    ListedCaption,
    ListedImage,
    Listing,
    Reason,
    is_storable,
    most_common_reasons,
)
from pipeline.datasets.pictures import (
    PICTURE_COLUMNS,
    SPLIT_NAMES,
    find_folder,
    id_of,
    unlisted,
)
from pipeline.datasets.table_files import SUFFIXES, TableFile, TableRow, open_table
from pipeline.errors import InputError

CAPTION_COLUMNS = ("caption", "text", "sentence", "description", "comment")
SPLIT_COLUMN = "split"
MEND = {  # of reasons for which not even the name of a row's picture can be read
    "broken_line": "Each row needs as many values as the header has names, all of them texts, and"
    " the picture's not empty: one with a comma in it stands in quotes",
    "encoding": "Save the file as UTF-8 (in Excel: CSV UTF-8)",
}


def recognises(raw: Path) -> bool:
    """Tell whether there is a table in the folder."""
    return bool(_tables(raw))


def read(raw: Path) -> Listing:
    """Read the one table of the folder.

    Raises:
        InputError: there are several tables, the file cannot be read, it has no column of pictures
            or of captions, or no folder holds the pictures.
    """
    path = _only_table(raw)
    table = open_table(path)
    columns = _columns(path, table.header)
    listing = Listing()
    named = _read_rows(path.name, table, columns, listing)
    if not named and listing.dropped:
        raise InputError(_none_read(path, columns, listing))
    folder = find_folder(raw, named, str(path))
    listing.images = [_in_folder(folder, image) for image in listing.images]
    for beside in unlisted(raw, [posixpath.join(folder, name) for name in named]):
        listing.drop("image", beside, beside, "not_listed", posixpath.basename(beside))
    return listing


def _tables(raw: Path) -> list[Path]:
    found = [path for path in raw.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    plain = [path for path in found if not path.name.startswith("._")]  # macOS lays them beside
    return sorted(path for path in plain if path.name != facts_file.NAME)


def _only_table(raw: Path) -> Path:
    """Take the table called captions, or else the only table."""
    found = _tables(raw)
    called = [path for path in found if path.stem.lower() == "captions"]
    wanted = called or found
    if len(wanted) == 1:
        return wanted[0]
    received = ", ".join(path.name for path in wanted) or "none"
    raise InputError(
        f"{raw}: expected one table captions.{{{','.join(s[1:] for s in SUFFIXES)}}}."
        f" Received: {received}"
    )


def _columns(path: Path, header: list[str]) -> list[str]:
    """Choose the columns of picture, caption and, where there is one, split."""
    picture = _column(header, PICTURE_COLUMNS)
    caption = _column(header, CAPTION_COLUMNS)
    if picture is None or caption is None:
        what = "a picture" if picture is None else "a caption"
        names = PICTURE_COLUMNS if picture is None else CAPTION_COLUMNS
        received = ", ".join(repr(name.strip()[:40]) for name in header[:20])
        raise InputError(
            f"{path}, header: expected a column for {what}, called"
            f" {', '.join(names)}. Received the columns: {received}{_of_header(header)}"
        )
    split = _column(header, (SPLIT_COLUMN,))
    columns = [picture, caption] if split is None else [picture, caption, split]
    plain = [name.strip().lower() for name in header]
    for name in (column.strip().lower() for column in columns):
        if plain.count(name) > 1:
            raise InputError(
                f"{path}, header: expected each column once. Received: {name!r}"
                f" {plain.count(name)} times. One caption a row: a picture with five captions has"
                " five rows"
            )
    return columns


def _of_header(header: Sequence[str]) -> str:
    """Tell what a header looks like in which no column is found."""
    first = "".join(header)
    if "\0" in first or not is_storable(first):
        return f". {MEND['encoding']}"
    if "\r" in first:
        return ". The lines end as on old Macs: save the table with other line ends"
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
        if len(header) == 1 and mark in first:
            return f". They are separated by {name}: save it with commas (.csv) or tabs (.tsv)"
    return ""


def _column(header: Sequence[str], names: Sequence[str]) -> str | None:
    """Find the first of `names` among the columns, as the file writes it."""
    plain = [column.strip().lower() for column in header]
    return next((header[plain.index(name)] for name in names if name in plain), None)


def _none_read(path: Path, columns: Sequence[str], listing: Listing) -> str:
    """Tell why no row of a table could be read."""
    first = listing.dropped[0]
    return (
        f"{path}: expected rows with {', '.join(repr(name) for name in columns)}. Received:"
        f" {len(listing.dropped):,}, none of which can be read"
        f" ({most_common_reasons(listing.dropped)}). For example {first['source']}:"
        f" {first['raw'][:100]!r}. {MEND[first['reason']]}"
    )


def _read_rows(
    file: str, table: TableFile, columns: Sequence[str], listing: Listing
) -> dict[str, str]:
    """Read all rows; return the pictures that they name, dropped rows' included, and their ids."""
    named: dict[str, str] = {}
    splits: dict[str, str | None] = {}
    counts: dict[str, int] = {}
    for row in table.rows(columns):
        source = f"{file}:{row.number}"
        name, text, split, reason = _parse(row)
        if reason is not None and not name:
            listing.drop("caption", row.raw.partition("\n")[0][:200], source, reason, row.raw)
            continue
        image_id = named.setdefault(name, id_of(name))
        if reason is not None:
            listing.drop("caption", image_id, source, reason, row.raw)
            continue
        if name not in splits:
            splits[name] = split
            listing.images.append(ListedImage(image_id, name, split, source))
        if splits[name] != split:
            listing.drop("caption", image_id, source, "two_splits", row.raw)
        elif not text.strip():
            listing.drop("caption", image_id, source, "empty_caption", row.raw)
        else:
            count = counts[name] = counts.get(name, -1) + 1
            listing.captions.append(ListedCaption(image_id, f"{image_id}#{count}", text, source))
    return named


def _parse(row: TableRow) -> tuple[str, str, str | None, Reason | None]:
    """Take a row apart: the picture's name with /, the text, the split, or why it is unusable."""
    if row.reason is not None:
        return "", "", None, row.reason
    written = (row.values[0] or "").strip().replace("\\", "/")
    if not written:
        return "", "", None, "broken_line"
    name, text = str(PurePosixPath(written)), row.values[1] or ""
    if len(row.values) == 2:
        return name, text, None, None
    split = SPLIT_NAMES.get((row.values[2] or "").strip().lower())
    return name, text, split, None if split else "unknown_split"


def _in_folder(folder: str, image: ListedImage) -> ListedImage:
    # An absolute path stays one, so that it is refused and not looked for in the folder.
    path = posixpath.join(folder, image.path)
    return ListedImage(image.image_id, path, image.split, image.source)


TABLE = Layout(
    name="table",
    looks_for=f"captions with suffix {', '.join(SUFFIXES)}",
    recognises=recognises,
    read=read,
)
