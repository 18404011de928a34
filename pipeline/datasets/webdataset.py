"""Tar files of numbered samples, as img2dataset and webdataset write them; nothing is unpacked.

    00000.tar               also train/00000.tar, val/00000.tar, test/00000.tar: the splits
        000000000.jpg       the picture, with any suffix of `PICTURE_SUFFIXES`
        000000000.txt       its caption
        000000000.json      or here: "caption", or a list "captions"; not read where there is a .txt
    00000.parquet, 00000_stats.json    not read: they say the same once more

Members of a sample share their name up to the first dot. A picture's id is the tar file's path
and that name, `00000/000000000`, and its place the bytes of the member inside of the tar file.
Without folders called as splits are, `ingest` splits by a hash of the id.
Source: Beaumont, img2dataset, 2021; webdataset's `base_plus_ext`. Quirks, and what becomes of them:
    a picture whose address had no words, so that its .txt is empty     dropped: empty_caption
    a .txt or .json without its picture                                 dropped: missing
    a .txt or .json of more than 1 MB                                   dropped: broken_line
    further members of a sample, such as 000000000.left.jpg or .left.txt    dropped: not_listed
    ... where there is no 000000000.jpg, as in Dr. Smith.jpg            dropped: broken_line
    ._000000000.jpg and ._00000.tar, as macOS lays beside others        dropped: not_listed; passed
    links, which a reader of the bytes cannot follow                    dropped: not_a_file
    sparse members, whose bytes are not in one piece                    dropped: unreadable
    a tar file that was cut off or is damaged   what stands before is read; one row: truncated or
                                                broken_line
    00000.tar.gz, whose members cannot be read in place    dropped: unreadable; an error if alone
What cannot be read of a tar file has no rows, and may be nearly all of it: it is taken to hold as
many as the fullest tar file (`Listing.unseen`), which is what `ingest.max_dropped` is asked about.
Time: 30,000 samples of three members take 8 s on one slow core; no picture is read, only headers.
"""

import json
import posixpath
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline.datasets import table
from pipeline.datasets.layout import (
    Layout,
    ListedCaption,
    ListedImage,
    Listing,
    Reason,
    is_storable,
)
from pipeline.datasets.pictures import PICTURE_SUFFIXES, SPLIT_NAMES
from pipeline.errors import InputError
from pipeline.images.decode import PictureError, Span, inside, unless_of_the_system
from pipeline.progress import Progress

CAPTION_SUFFIXES = (".txt", ".json")  # the first that a sample has is read
LONGEST_TEXT = 2**20  # bytes of a .txt or .json
LONGEST_HEADERS = 2**20  # bytes read to learn of one member
MOST_GLOBAL_HEADERS = 64  # tarfile copies them for every member
NUMBERED = re.compile(r"\d{5,}\.t", re.IGNORECASE)  # as img2dataset names its shards
# Compressed tars are told of only where they are numbered as shards are: photos.tar.gz beside a
# list of captions is what people leave lying after they have unpacked it.
COMPRESSED = re.compile(r"(\d{5,}\.)(?:tar\.\w+|tgz|tbz2|txz)", re.IGNORECASE)


class _Text(NamedTuple):
    """A member that holds captions, and where its bytes are."""

    member: str
    span: Span


@dataclass(slots=True)
class _Sample:
    """What was found under one name."""

    texts: dict[str, _Text] = field(default_factory=dict)  # by suffix
    image_id: str | None = None  # of a listed picture
    why_none: Reason = "missing"
    further: list[str] = field(default_factory=list)  # members with more dots in their suffix


class _BadTarError(Exception):
    """A tar file that can be read no further."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail


def recognises(raw: Path) -> bool:
    """Tell whether there are tar files in the folder, or in folders called as splits are.

    Beside a table only those numbered as shards are: pictures.tar is what people leave
    lying after they have unpacked it.
    """
    files = _files(raw)
    numbered = any(NUMBERED.search(name) for name in files)
    return numbered or (bool(files) and not table.recognises(raw))


def read(raw: Path) -> Listing:
    """Read the headers and the captions of all tar files.

    Raises:
        InputError: all tar files are compressed or damaged from the start, no member is a picture,
            or none is a caption.
    """
    files = _files(raw)
    tars = [name for name in files if name.lower().endswith(".tar")]
    if not tars:
        raise InputError(
            f"{raw}: expected tar files that are not compressed (*.tar), so that pictures can be"
            f" read where they stand. Received: {', '.join(files[:3]) or 'none'}. Decompress them,"
            " with gunzip or unzstd for example"
        )
    listing = Listing(splits={split for name in tars if (split := _split_of(name))})
    seen: set[str] = set()
    rows: list[int] = []  # of each tar file
    short: list[tuple[int, float]] = []  # of those not read to their end: rows, and see `behind`
    with Progress("tar files", total=len(tars), unit="files") as progress:
        for name in tars:
            before = _rows(listing)
            shard = _Shard(raw, name, listing, seen)
            is_whole = shard.read()
            rows.append(_rows(listing) - before)
            short += [] if is_whole else [(rows[-1], shard.behind)]
            progress.advance(1)
    for name in files:
        if name not in tars:
            listing.drop("image", name, name, "unreadable", "compressed: not read in place")
            is_unpacked = COMPRESSED.sub(r"\1tar", name) in tars
            short += [] if is_unpacked else [(0, 0.0)]
    listing.unseen = sum(max(max(rows) - found, round(found * more)) for found, more in short)
    _check(raw, tars, listing)
    return listing


def _rows(listing: Listing) -> int:
    return len(listing.images) + len(listing.captions) + len(listing.dropped)


def _files(raw: Path) -> list[str]:
    """List the tar files, and numbered compressed ones, relative to `raw`, sorted."""
    found = []
    try:
        for entry in raw.iterdir():
            if entry.name.lower() in SPLIT_NAMES and entry.is_dir():
                found += [f"{entry.name}/{below.name}" for below in entry.iterdir()]
            else:
                found.append(entry.name)
    except OSError as error:
        raise InputError(f"{raw}: cannot be read: {error}") from error
    plain = [name for name in found if not posixpath.basename(name).startswith("._")]
    return sorted(n for n in plain if n.lower().endswith(".tar") or COMPRESSED.search(n))


def _split_of(name: str) -> str | None:
    folder = posixpath.dirname(name)
    return SPLIT_NAMES[folder.lower()] if folder else None


def _check(raw: Path, tars: list[str], listing: Listing) -> None:
    """Refuse a data set in which there is nothing to use, and say why if that is known."""
    kind = "caption" if listing.images else "image"
    lost = [row for row in listing.dropped if row["kind"] == kind]
    if listing.captions or (listing.images and lost):
        return
    what = "captions (.txt or .json)" if listing.images else "pictures"
    told = "".join(f" {r['source'][:99]}: {r['reason']} ({r['raw'][:99]!r})." for r in lost[:1])
    raise InputError(
        f"{raw}: expected {what} in the tar files, as img2dataset writes them. Received none in"
        f" {len(tars):,} tar files ({', '.join(tars[:3])}).{told}"
    )


class _Shard:
    """One tar file, read into a listing that may hold others already.

    Attributes:
        behind: of a file that is damaged somewhere: bytes behind that place, for one before it.
    """

    def __init__(self, raw: Path, name: str, listing: Listing, seen: set[str]) -> None:
        self.raw, self.name, self.listing, self.seen = raw, name, listing, seen
        self.stem, self.split = name[: -len(".tar")], _split_of(name)
        self.samples: dict[str, _Sample] = {}
        self.behind = 0.0

    def read(self) -> bool:
        """Read the members' headers, then the captions; tell whether it was read to its end."""
        try:
            path = inside(self.raw, self.name)
            is_whole = self._read_headers(path)
            with path.open("rb") as stream:
                for key, sample in self.samples.items():
                    self._read_captions(stream, sample)
                    self._drop_further(key, sample)
        except PictureError as error:
            self.listing.drop("image", self.name, self.name, error.reason, error.detail)
            return False
        except OSError as error:
            unless_of_the_system(self.raw / self.name, error)
            self.listing.drop("image", self.name, self.name, "unreadable", str(error))
            return False
        return is_whole

    def _read_headers(self, path: Path) -> bool:
        """Note all members; those before a damaged place count. Tell whether there is none."""
        read = 0  # bytes
        try:
            for member in _members(path):
                self._note(member)
                read = member.offset_data + member.size
        except _BadTarError as error:
            self.listing.drop("image", self.name, self.name, error.reason, error.detail)
            rest = path.stat().st_size - read - tarfile.RECORDSIZE  # which may be its own end
            self.behind = max(rest, 0) / read if read else 0.0
            return False
        return True

    def _note(self, member: tarfile.TarInfo) -> None:
        """Put a member where it belongs by its name."""
        key, suffix = key_and_suffix(member.name)
        if suffix in PICTURE_SUFFIXES:
            self._note_picture(member, f"{self.stem}/{key}", self._sample(key))
        elif suffix in CAPTION_SUFFIXES:
            self._note_text(member, suffix, self._sample(key))
        elif member.name.lower().endswith((*PICTURE_SUFFIXES, *CAPTION_SUFFIXES)):
            self._sample(key).further.append(member.name)

    def _sample(self, key: str) -> _Sample:
        return self.samples.setdefault(key, _Sample())

    def _note_picture(self, member: tarfile.TarInfo, image_id: str, sample: _Sample) -> None:
        reason = _why_unusable(member)
        if reason is None and not is_storable(image_id):
            reason = "encoding"
        if reason is None and image_id in self.seen:
            reason = "duplicate_id"
        if reason is not None:
            sample.why_none = "picture_dropped"
            self._drop("image", image_id, member.name, reason)
            return
        self.seen.add(image_id)
        sample.image_id = image_id
        source, span = f"{self.name}:{member.name}", Span(member.offset_data, member.size)
        self.listing.images.append(ListedImage(image_id, self.name, self.split, source, span))

    def _note_text(self, member: tarfile.TarInfo, suffix: str, sample: _Sample) -> None:
        reason = _why_unusable(member)
        if reason is None and suffix in sample.texts:
            reason = "duplicate_id"
        if reason is None:
            sample.texts[suffix] = _Text(member.name, Span(member.offset_data, member.size))
        else:
            self._drop("caption", f"{self.stem}/{member.name}", member.name, reason)

    def _drop_further(self, key: str, sample: _Sample) -> None:
        """Drop what stands beside a sample's picture; where there is none, it is what was lost."""
        is_beside = sample.image_id is not None or not posixpath.basename(key)
        for member in sample.further:
            kind: Literal["image", "caption"] = (
                "image" if member.lower().endswith(PICTURE_SUFFIXES) else "caption"
            )
            reason: Reason = "not_listed" if is_beside else "broken_line"
            self._drop(kind, f"{self.stem}/{member}", member, reason)

    def _read_captions(self, stream: BufferedReader, sample: _Sample) -> None:
        suffix = next((suffix for suffix in CAPTION_SUFFIXES if suffix in sample.texts), None)
        if suffix is None:
            return
        member, span = sample.texts[suffix]
        item = sample.image_id or f"{self.stem}/{member}"
        content, reason = _content(stream, span)
        texts = [content] if suffix == ".txt" else _texts_of_json(content)
        if reason is not None or texts is None:
            self._drop("caption", item, member, reason or "broken_line", content)
            return
        for number, text in enumerate(texts):
            self._list_caption(sample, f"{item}#{number}", text, member)

    def _list_caption(self, sample: _Sample, caption_id: str, text: str, member: str) -> None:
        if sample.image_id is None:
            self._drop("caption", caption_id, member, sample.why_none, text)
        elif not text.strip():
            self._drop("caption", caption_id, member, "empty_caption", text)
        elif not is_storable(text):
            self._drop("caption", caption_id, member, "encoding", text)
        else:
            source = f"{self.name}:{member}"
            self.listing.captions.append(ListedCaption(sample.image_id, caption_id, text, source))

    def _drop(
        self,
        kind: Literal["image", "caption"],
        item: str,
        member: str,
        reason: Reason,
        raw: str | None = None,
    ) -> None:
        written = member if raw is None else raw
        self.listing.drop(kind, item, f"{self.name}:{member}", reason, written)


def key_and_suffix(member: str) -> tuple[str, str]:
    """Split a member's name as webdataset does, at the first dot after its folders.

    a/b.tar.JPG -> a/b, .tar.jpg; the suffix is "" where nothing stands before or after the dot.
    """
    folder, name = posixpath.split(member.removeprefix("./"))
    stem, dot, rest = name.partition(".")
    return posixpath.join(folder, stem), (dot + rest.lower() if stem and rest else "")


def _why_unusable(member: tarfile.TarInfo) -> Reason | None:
    """Say why a member's bytes cannot be read where they stand."""
    if member.issparse():
        return "unreadable"
    return None if member.isreg() else "not_a_file"


def _content(stream: BufferedReader, span: Span) -> tuple[str, Reason | None]:
    """Read a member as text; or give what is told of it, and why it cannot be read."""
    if span.length > LONGEST_TEXT:
        return f"{span.length:,} bytes; the bound is {LONGEST_TEXT:,}", "broken_line"
    stream.seek(span.offset)
    content = stream.read(span.length)
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if len(content) < span.length:
        return text, "truncated"
    return text, None if is_storable(text) else "encoding"


def _texts_of_json(content: str) -> list[str] | None:
    """Take the captions, of which there may be none, out of a sample's JSON; None if broken."""
    try:
        entry: Any = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    texts = entry.get("captions") or [entry.get("caption")]
    if not isinstance(texts, list):
        return None
    texts = [text for text in texts if text is not None]
    return texts if all(isinstance(text, str) for text in texts) else None


def _members(path: Path) -> Iterator[tarfile.TarInfo]:
    """Yield the members from their headers alone; what is between them is not read.

    Raises:
        _BadTarError: the file is no tar file, or is cut off or damaged from here on.
    """
    with _Headers(path.open("rb", buffering=0)) as stream:
        with _told_as_bad_tar():
            tar = tarfile.TarFile(fileobj=stream, encoding="utf-8", errors="surrogateescape")
        place = 0
        while True:
            stream.left = LONGEST_HEADERS
            with _told_as_bad_tar():
                member = tar.next()
            tar.members = []  # type: ignore[attr-defined]  # it would keep them all
            if member is None:
                break
            # Negative sizes would lead back to where we have been, again and again.
            if tar.offset <= place or member.size < 0:
                raise _BadTarError("broken_line", f"byte {place:,}: a member of negative size")
            if len(tar.pax_headers) > MOST_GLOBAL_HEADERS:
                raise _BadTarError("broken_line", "too many headers that hold for all members")
            place = tar.offset
            yield member
    _check_end(path, place)


def _check_end(path: Path, place: int) -> None:
    """Make sure that the tar file ends here: tarfile stops at damaged headers without a word."""
    with path.open("rb") as stream:
        stream.seek(place)
        rest = stream.read(LONGEST_HEADERS)
    if len(rest) < tarfile.BLOCKSIZE:
        raise _BadTarError("truncated", f"byte {place:,}: expected two empty blocks at the end")
    if rest[: tarfile.BLOCKSIZE].strip(b"\0"):
        raise _BadTarError("broken_line", f"byte {place:,}: expected a member's header")
    if rest.strip(b"\0"):
        raise _BadTarError("broken_line", f"byte {place:,}: more after the end. Joined tar files?")


class _Headers(BufferedReader):
    """A tar file of which tarfile may read so much for one member and no more.

    A header can claim any length for what belongs to it, and can be followed by any number of
    further headers for the same member.
    """

    left = LONGEST_HEADERS

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.left:
            raise tarfile.ReadError(f"a member's headers are longer than {LONGEST_HEADERS:,} bytes")
        self.left -= size
        return super().read(size)


@contextmanager
def _told_as_bad_tar() -> Iterator[None]:
    """Turn whatever tarfile raises into a _BadTarError with its reason."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        # All of them: on damaged headers tarfile raises ReadError, ValueError, IndexError,
        # OverflowError, RecursionError and more.
        told = " ".join(str(error).split()) or type(error).__name__
        cut_off = "end of data" in told or "truncated" in told
        raise _BadTarError("truncated" if cut_off else "broken_line", told) from error


WEBDATASET = Layout(
    name="webdataset",
    looks_for="tar files (*.tar, not compressed), or folders train, val and test of such",
    recognises=recognises,
    read=read,
)
