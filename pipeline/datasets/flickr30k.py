"""The original layout of Flickr30k.

    results_20130124.token   image.jpg#0<TAB>caption        any results*.token
    flickr30k-images/        the pictures                   a folder of any name
    train.txt                1000092795, an id a line       or flickr30k_train.txt; with .jpg or not
    val.txt, test.txt        alike                          all three lists, or none

Source: Young, Lai, Hodosh and Hockenmaier, TACL 2014. It came without splits: where the lists of
Flickr30k Entities (Plummer et al., ICCV 2015: 29,783, 1,000 and 1,000 pictures) lie beside it, they
win, and captions of other pictures are dropped: no_split. Without them, `ingest` splits by a hash.
"""

from pathlib import Path

from pipeline.datasets.layout import Layout, Listing
from pipeline.datasets.split_lists import FLICKR30K_LISTS, matching_files
from pipeline.datasets.text_layout import only_file, read_text_layout
from pipeline.datasets.token_file import TOKENS

PATTERN = "results*.token"


def recognises(raw: Path) -> bool:
    """Tell whether the folder holds captions as Flickr30k has them."""
    return bool(matching_files(raw, PATTERN))


def read(raw: Path) -> Listing:
    """Read the captions and, where there are any, the split lists.

    Raises:
        InputError: there are several files of captions, one of the lists is absent and others are
            not, or it stands there twice, no picture is listed, or no folder holds the pictures.
    """
    captions = only_file(raw, PATTERN, matching_files(raw, PATTERN))
    return read_text_layout(raw, captions, TOKENS, FLICKR30K_LISTS)


FLICKR30K = Layout(
    name="flickr30k",
    looks_for="results*.token with lines image.jpg#0<TAB>caption",
    recognises=recognises,
    read=read,
)
