"""A bundle as one file: a zip with what `bundle.py` describes, bundle.json at its top.

`pack` writes it, the same bytes for the same bundle: members in order, none compressed (weights
hardly shrink), no dates, no owners. `opened` is for whoever takes a bundle: a folder is given back
as it is, and a zip is unpacked into a temporary folder, after its list of contents is checked:

    a zip from elsewhere may be a bomb, name files outside the folder, hold links, or be no bundle;
    only files that its bundle.json lists are unpacked, none twice, none larger than a stated
    bound, and each must have the hash that bundle.json names

Needs neither Keras nor TensorFlow.
"""

import hashlib
import json
import shutil
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.captioner.bundle_names import DESCRIPTION
from pipeline.errors import InputError
from pipeline.files import BLOCK, REFUSALS, is_plain, sha256_of, written_whole

MOST_DESCRIPTION = 1 << 20  # bytes of bundle.json
MOST_BYTES = 2 << 30  # of all files together; ResNet101, the largest encoder, has 171 MB
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can tell
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1  # the bit of a member's flags


def pack(folder: Path, path: Path) -> None:
    """Write the bundle in `folder` as the zip `path`.

    Raises:
        InputError: the folder is no bundle, a file of it is missing or damaged, or all together
            are larger than `opened` takes.
    """
    description = folder / DESCRIPTION
    if not description.is_file():
        raise InputError(f"{description}: no such file, so this is no bundle. Train one first")
    hashes = _hashes(description.read_bytes(), folder)
    files = [folder / name for name in (DESCRIPTION, *hashes)]
    total = sum(file.stat().st_size for file in files if file.is_file())
    if total > MOST_BYTES:
        raise InputError(
            f"{folder}: expected at most {MOST_BYTES} bytes for a zip. Received: {total}. Copy the "
            "folder instead, or lower train.consensus.pictures or the number of train.seeds"
        )
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        for name in sorted([DESCRIPTION, *hashes]):
            source = folder / name
            if not source.is_file() or (name in hashes and sha256_of(source) != hashes[name]):
                raise InputError(
                    f"{source}: expected the file that {DESCRIPTION} names, with its hash. "
                    "Received: none, or other bytes. Copy the bundle again, or train again"
                )
            member = zipfile.ZipInfo(name, NO_DATE)
            member.create_system = 3  # Unix, on every system
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            member.file_size = source.stat().st_size
            with source.open("rb") as stream, file.open(member, "w") as out:
                shutil.copyfileobj(stream, out, BLOCK)


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Yield the folder of a bundle, given the folder or a zip of it.

    What is unpacked from a zip is removed at the end of the block. A path that does not exist is
    yielded as it is, for who reads the bundle to tell.

    Raises:
        InputError: the zip is damaged, dangerous, or not one of a bundle.
    """
    if not path.is_file():
        yield path
        return
    with TemporaryDirectory(prefix="caption-bundle-") as temporary:
        folder = Path(temporary) / path.name  # so that errors name the zip
        folder.mkdir()
        _unpack(path, folder)
        yield folder


def _unpack(path: Path, folder: Path) -> None:
    """Check a zip, then unpack it."""
    try:
        with zipfile.ZipFile(path) as file:
            members = _members(file, path)
            content = _description(file, members, path)
            hashes = _hashes(content, path)
            _check_names(set(members), {DESCRIPTION, *hashes}, path)
            (folder / DESCRIPTION).write_bytes(content)
            for name, expected in hashes.items():
                _extract(file, members[name], folder / name, expected, path)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zipfile raises a dozen kinds on damaged files
        # Not all of the system's: a damaged file leads to places before its beginning, which cannot
        # be read.
        if isinstance(error, OSError) and error.errno in REFUSALS:
            raise  # no room to unpack it, say, or no permission to read it
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise _refused(path, f"{told}. Copy it again, or pack it again") from error


def _members(file: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """List the members by name, folders left out, and refuse what no bundle has."""
    members: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for member in file.infolist():
        name, mode = member.filename, member.external_attr >> 16
        if member.is_dir():
            continue  # nothing is made for it
        if name in members:
            raise _refused(path, f"{name!r} twice")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise _refused(path, f"{name!r}, which is a link or another special file")
        if member.flag_bits & ENCRYPTED or member.compress_type not in METHODS:
            raise _refused(path, f"{name!r}, encrypted or compressed in an unusual way")
        total += member.file_size
        members[name] = member
    if total > MOST_BYTES:
        raise _refused(path, f"{total} bytes unpacked; the bound is {MOST_BYTES}")
    return members


def _description(file: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path) -> bytes:
    """Read bundle.json."""
    member = members.get(DESCRIPTION)
    if member is None:
        raise _refused(
            path, f"no {DESCRIPTION} at its top. Zip the bundle's content, not its folder"
        )
    if member.file_size > MOST_DESCRIPTION:
        raise _refused(path, f"{DESCRIPTION} of {member.file_size} bytes")
    return file.read(member)


def _hashes(content: bytes, path: Path) -> dict[str, str]:
    """Take the files and their hashes from bundle.json.

    Only so much is looked at here, and whatever the version; `bundle.read_description` checks
    the rest.

    Raises:
        InputError: there is no such list, or a name in it leaves the folder.
    """
    try:
        description: Any = json.loads(content)
        files = description["files"]
        hashes = {name: str(value) for name, value in files.items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _refused(path, f"a {DESCRIPTION} that lists no files") from error
    for name in hashes:
        if not is_plain(name) or name == DESCRIPTION:
            raise _refused(path, f"a {DESCRIPTION} that lists {name!r}")
    return hashes


def _check_names(received: set[str], expected: set[str], path: Path) -> None:
    """Refuse a zip that has more or less than its bundle.json lists."""
    if received != expected:
        more, less = sorted(received - expected), sorted(expected - received)
        told = f"without {less[0]!r}" if less else f"with {more[0]!r}, which is not in the list"
        raise _refused(path, told)


def _extract(
    file: zipfile.ZipFile, member: zipfile.ZipInfo, out: Path, expected: str, path: Path
) -> None:
    """Unpack one member: never more bytes than the list of contents says."""
    out.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with file.open(member) as stream, out.open("xb") as target:
        while block := stream.read(BLOCK):
            digest.update(block)
            target.write(block)
    if digest.hexdigest() != expected:
        raise _refused(
            path,
            f"{member.filename!r}, whose bytes are not those that {DESCRIPTION} names: it is "
            "damaged. Copy it again, or pack it again",
        )


def _refused(path: Path, received: str) -> InputError:
    return InputError(
        f"{path}: expected a bundle, or a zip of one made by `python -m stages.export`. "
        f"Received: {received}"
    )
