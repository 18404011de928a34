"""The rules: what `ingest` must have written, and what a person should know before training.

A rule is one expectation with a name, a sentence and a reason. Errors stop the run: no later
stage could be trusted. Warnings are told and the run goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.checks.frames import HASH
from pipeline.checks.quiet_gx import gx, gxe
from pipeline.checks.settings import ValidateSettings
from pipeline.tables import SPLITS

Severity = Literal["error", "warning"]

MOST_PICTURES = 10  # that may share a caption, however small the data set is
INVISIBLE = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)
# The replacement character, and UTF-8 read as Windows-1252 or Latin-1 ("cafÃ©", "itâ€™s").
# Of 0x80 to 0x9f Windows-1252 makes the signs of the first row.
BROKEN = (
    "\ufffd|Ã[€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"  # noqa: RUF001 - what such a mistake makes of letters
    "\x80-\xbf]|â€|Â[\xa0-\xbf]"
)
MARKUP = "</?[A-Za-z][^<>]*>|&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});"
ADDRESS = "[Hh][Tt][Tt][Pp][Ss]?://|[Ww]{3}[.][A-Za-z0-9]|[A-Za-z0-9.]+@[A-Za-z0-9]+[.][A-Za-z]"
NON_ASCII = "[^\x00-\x7f]"
NOT_BLANK = r"\S"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One expectation, and how it is told."""

    name: str  # stands in summary.json, in the docs and in the terminal
    says: str  # what must hold; a sentence without its end
    why: str
    kind: type  # of the expectation
    asks: Mapping[str, Any]  # its arguments
    severity: Severity = "error"
    most: float = 0.0  # share of the rows that may break it
    setting: str = ""  # of section `validate`, that moves the bound
    shows: tuple[str, ...] = ()  # columns that explain a broken row, beside those it asks

    def columns(self) -> list[str]:
        """List the columns that the rule asks, and those that explain a broken row."""
        names = [self.asks.get(key) for key in ("column", "column_A", "column_B")]
        return [*filter(None, names), *self.asks.get("column_list", ()), *self.shows]

    def expectation(self) -> Any:
        """Build the expectation; its description starts with the rule's name."""
        tolerance = {"mostly": 1 - self.most} if self.most else {}
        return self.kind(
            **self.asks,
            **tolerance,
            severity="critical" if self.severity == "error" else "warning",
            description=f"{self.name}: {self.says}",
            notes=self.why,
            meta={"name": self.name},
        )


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The rules over one frame."""

    name: str  # of the frame as well
    about: str
    shows: tuple[str, ...]  # columns by which a person knows the row
    rules: list[Rule] = field(default_factory=list)

    def expectations(self) -> Any:
        """Build the Great Expectations suite."""
        return gx.ExpectationSuite(self.name, [rule.expectation() for rule in self.rules])


def columns_suite() -> Suite:
    """Make the rules on the tables' form. Where one is broken, the others cannot be asked."""
    return Suite(
        name="columns",
        about="The form of images.parquet, captions.parquet and dropped.parquet.",
        shows=("table", "column"),
        rules=[
            Rule(
                name="columns",
                says="every table has the agreed columns and no others",
                why="Later stages read them by name. Run ingest of this version again.",
                kind=gxe.ExpectColumnValuesToBeInSet,
                asks={"column": "state", "value_set": ["as agreed"]},
            ),
            Rule(
                name="column_types",
                says="every column has its agreed type",
                why="A number read as text sorts and compares wrongly.",
                kind=gxe.ExpectColumnPairValuesToBeEqual,
                asks={
                    "column_A": "type",
                    "column_B": "agreed_type",
                    "ignore_row_if": "both_values_are_missing",
                },
            ),
            Rule(
                name="no_empty_cells",
                says="no column has a null",
                why="Every column is needed of every row.",
                kind=gxe.ExpectColumnValuesToBeInSet,
                asks={"column": "empty_cells", "value_set": [0]},
            ),
        ],
    )


def suites(settings: ValidateSettings, pictures: int) -> list[Suite]:
    """Make the rules on what the tables hold.

    Args:
        settings: the bounds.
        pictures: how many there are; a bound on boilerplate is a share of them.
    """
    return [
        _pictures(settings),
        _captions(settings, pictures),
        _splits(settings),
        _left_out(settings),
    ]


def _pictures(settings: ValidateSettings) -> Suite:
    return Suite(
        name="pictures",
        about="One row a picture.",
        shows=("image_id", "split"),
        rules=[
            *_picture_identity(),
            *_picture_looks(settings),
            *_picture_captions(settings),
            *_leaks(settings),
        ],
    )


def _picture_identity() -> list[Rule]:
    return [
        Rule(
            name="unique_picture_ids",
            says="every picture id stands in one row, and so in one split",
            why="A picture in two splits would be trained on and scored.",
            kind=gxe.ExpectColumnValuesToBeUnique,
            asks={"column": "image_id"},
        ),
        Rule(
            name="unique_picture_files",
            says="no two pictures are the same place of the same file",
            why="Under two ids, a picture would be in two splits unseen.",
            kind=gxe.ExpectCompoundColumnsToBeUnique,
            asks={"column_list": ["path", "offset"]},
        ),
        Rule(
            name="known_splits",
            says=f"the split is one of {', '.join(SPLITS)}",
            why="Later stages know no other, and would leave the picture out in silence.",
            kind=gxe.ExpectColumnValuesToBeInSet,
            asks={"column": "split", "value_set": list(SPLITS)},
        ),
        Rule(
            name="whole_file_hashes",
            says="the hash of the file (sha256) has 64 hexadecimal digits",
            why="The feature cache and the search for leaks rest on it.",
            kind=gxe.ExpectColumnValuesToMatchRegex,
            asks={"column": "sha256", "regex": HASH},
        ),
        Rule(
            name="whole_picture_hashes",
            says="the hash of the looks (dhash) has 64 hexadecimal digits",
            why="The search for pictures that look the same rests on it.",
            kind=gxe.ExpectColumnValuesToMatchRegex,
            asks={"column": "dhash", "regex": HASH},
        ),
        Rule(
            name="picture_sizes",
            says="every picture has at least one byte and one pixel",
            why="ingest decodes every picture, so something else has written this table.",
            kind=gxe.ExpectColumnValuesToBeBetween,
            asks={"column": "least_size", "min_value": 1},
        ),
    ]


def _picture_looks(settings: ValidateSettings) -> list[Rule]:
    modes, odd = settings.modes, settings.max_odd
    return [
        Rule(
            name="picture_sides",
            says=f"the shorter side has at least {settings.min_side} pixels{_but(odd)}",
            why="A tiny picture is blown up for the CNN and shows it little.",
            kind=gxe.ExpectColumnValuesToBeBetween,
            asks={"column": "shorter_side", "min_value": settings.min_side},
            severity="warning",
            most=odd,
            setting="min_side",
        ),
        Rule(
            name="picture_shapes",
            says=f"the longer side is at most {settings.max_aspect:g} times the shorter{_but(odd)}",
            why="Pictures are squashed to a square: things in a very long one lose their shape.",
            kind=gxe.ExpectColumnValuesToBeBetween,
            asks={"column": "aspect", "max_value": settings.max_aspect},
            severity="warning",
            most=odd,
            setting="max_aspect",
        ),
        Rule(
            name="picture_modes",
            says=f"the pixels are of mode {', '.join(modes)}{_but(odd)}",
            why="Captions name colours that grey pictures (L) lack; others may convert badly.",
            kind=gxe.ExpectColumnValuesToBeInSet,
            asks={"column": "mode", "value_set": modes},
            severity="warning",
            most=odd,
            setting="modes",
        ),
    ]


def _picture_captions(settings: ValidateSettings) -> list[Rule]:
    low, high, odd = settings.min_captions, settings.max_captions, settings.max_odd
    return [
        Rule(
            name="captioned_pictures",
            says="every picture of train and val has a caption; of test, some may have none",
            why="There is nothing to learn from a picture without one, nor to choose epochs by.",
            kind=gxe.ExpectColumnValuesToBeBetween,
            asks={"column": "captions", "min_value": 1, **_where('split in ["train", "val"]')},
        ),
        Rule(
            name="captions_a_picture",
            says=f"a picture that has captions has {low} to {high} of them{_but(odd)}",
            why="BLEU, METEOR and CIDEr rise and fall with the number of references.",
            kind=gxe.ExpectColumnValuesToBeBetween,
            asks={
                "column": "captions",
                "min_value": low,
                "max_value": high,
                **_where("captions > 0"),
            },
            severity="warning",
            most=odd,
            setting="min_captions and max_captions",
        ),
    ]


def _leaks(settings: ValidateSettings) -> list[Rule]:
    return [
        Rule(
            name="no_picture_in_two_splits",
            says="no picture of val or test has the same bytes as one of an earlier split",
            why="The model has seen it: scores on it say nothing about new pictures.",
            kind=gxe.ExpectColumnValuesToBeNull,
            asks={"column": "same_as"},
            severity=settings.same_picture,
            setting="same_picture",
        ),
        Rule(
            name="no_look_alikes_across_splits",
            says="no picture of val or test looks like one of an earlier split"
            f" (at most {settings.near_bits} of 256 bits differ)",
            why="The same picture scaled or compressed anew leaks as well as a copy.",
            kind=gxe.ExpectColumnValuesToBeNull,
            asks={"column": "looks_like"},
            severity="warning",
            setting="near_bits",
        ),
    ]


def _captions(settings: ValidateSettings, pictures: int) -> Suite:
    return Suite(
        name="captions",
        about="One row a caption.",
        shows=("caption_id", "text"),
        rules=[
            *_caption_identity(),
            *_caption_sizes(settings),
            *_caption_texts(settings),
            *_repeats(settings, pictures),
        ],
    )


def _caption_identity() -> list[Rule]:
    return [
        Rule(
            name="captions_of_known_pictures",
            says="every caption belongs to a picture of images.parquet",
            why="A caption without its picture cannot be learned, and hints at a broken join.",
            kind=gxe.ExpectColumnValuesToNotBeNull,
            asks={"column": "split"},
            shows=("image_id",),
        ),
        Rule(
            name="unique_caption_ids",
            says="every caption id stands in one row",
            why="Predictions and dropped rows are looked up by it.",
            kind=gxe.ExpectColumnValuesToBeUnique,
            asks={"column": "caption_id"},
        ),
        Rule(
            name="no_blank_captions",
            says="every caption has a character that is not white space",
            why="ingest drops empty captions, so something else has written this table.",
            kind=gxe.ExpectColumnValuesToMatchRegex,
            asks={"column": "text", "regex": NOT_BLANK},
        ),
    ]


def _caption_sizes(settings: ValidateSettings) -> list[Rule]:
    return [
        Rule(
            name="caption_characters",
            says=f"a caption has at most {settings.max_characters:,} characters",
            why="What is longer is no caption: a page, or a file whose line ends were lost.",
            kind=gxe.ExpectColumnValueLengthsToBeBetween,
            asks={"column": "text", "max_value": settings.max_characters},
            setting="max_characters",
        ),
        Rule(
            name="caption_words",
            says=f"a caption has {settings.min_words} to {settings.max_words} words"
            f"{_but(settings.max_odd)}",
            why="Shorter ones teach little; longer ones are cut or dropped before training.",
            kind=gxe.ExpectColumnValuesToBeBetween,
            asks={
                "column": "words",
                "min_value": settings.min_words,
                "max_value": settings.max_words,
            },
            severity="warning",
            most=settings.max_odd,
            setting="min_words and max_words",
        ),
    ]


def _caption_texts(settings: ValidateSettings) -> list[Rule]:
    spoiled = settings.max_spoiled
    return [
        _without(
            "no_invisible_characters", INVISIBLE, spoiled, "max_spoiled",
            says="no caption has control or zero-width characters",
            why="They make two words of what reads as one.",
        ),
        _without(
            "no_broken_encoding", BROKEN, spoiled, "max_spoiled",
            says="no caption has letters that were read in a wrong encoding",
            why="The words would be learned, and captioned, misspelt. Save the file as UTF-8.",
        ),
        _without(
            "no_markup", MARKUP, spoiled, "max_spoiled",
            says="no caption has HTML tags or entities",
            why="Tags would become words of the vocabulary.",
        ),
        _without(
            "no_web_addresses", ADDRESS, spoiled, "max_spoiled",
            says="no caption has a web or mail address",
            why="Texts scraped with links are seldom about what the picture shows.",
        ),
        _without(
            "english_letters", NON_ASCII, settings.max_non_ascii, "max_non_ascii",
            says="captions are written in ASCII",
            why="Words are split by the rules of English; other languages need other rules.",
        ),
    ]  # fmt: skip


def _without(name: str, pattern: str, most: float, setting: str, says: str, why: str) -> Rule:
    return Rule(
        name=name,
        says=f"{says}{_but(most)}",
        why=why,
        kind=gxe.ExpectColumnValuesToNotMatchRegex,
        asks={"column": "text", "regex": pattern},
        severity="warning",
        most=most,
        setting=setting,
    )


def _repeats(settings: ValidateSettings, pictures: int) -> list[Rule]:
    share = settings.max_same_caption
    most = max(MOST_PICTURES, int(share * pictures))
    return [
        Rule(
            name="captions_differ",
            says=f"the captions of a picture differ{_but(settings.max_odd)}",
            why="A reference twice is no second opinion; clean drops it.",
            kind=gxe.ExpectCompoundColumnsToBeUnique,
            asks={"column_list": ["image_id", "plain"]},
            severity="warning",
            most=settings.max_odd,
            setting="max_odd",
        ),
        Rule(
            name="no_boilerplate",
            says=f"no caption is given to more than {most:,} pictures"
            f" ({share:.2%} of them, and {MOST_PICTURES} at least)",
            why="A text that fits everything is what a captioner learns to say of everything.",
            kind=gxe.ExpectColumnValuesToBeBetween,
            asks={"column": "pictures", "max_value": most},
            severity="warning",
            setting="max_same_caption",
        ),
    ]


def _splits(settings: ValidateSettings) -> Suite:
    return Suite(
        name="splits",
        about="One row a split.",
        shows=("split",),
        rules=[
            Rule(
                name="split_sizes",
                says="every split has pictures enough: "
                + ", ".join(f"{s} {getattr(settings.min_pictures, s):,}" for s in SPLITS),
                why="Training, choosing an epoch and scoring need one each, or are mere chance.",
                kind=gxe.ExpectColumnPairValuesAToBeGreaterThanB,
                asks={"column_A": "pictures", "column_B": "least", "or_equal": True},
                setting="min_pictures",
            ),
            Rule(
                name="training_share",
                says=f"at least {settings.min_train_share:.0%} of the pictures are for training",
                why="Else the splits are likely to be exchanged.",
                kind=gxe.ExpectColumnValuesToBeBetween,
                asks={
                    "column": "share",
                    "min_value": settings.min_train_share,
                    **_where('split == "train"'),
                },
                severity="warning",
                setting="min_train_share",
            ),
            Rule(
                name="scorable_splits",
                says="every split has captions",
                why="A split without any can be captioned, but not scored.",
                kind=gxe.ExpectColumnValuesToBeBetween,
                asks={"column": "captions", "min_value": 1},
                severity="warning",
            ),
            Rule(
                name="known_words",
                says="of the words of val and of test, at most"
                f" {settings.max_unknown_words:.1%} are in no training caption",
                why="Drift: a captioner cannot say a word that it has not been taught.",
                kind=gxe.ExpectColumnValuesToBeBetween,
                asks={"column": "unknown_words", "max_value": settings.max_unknown_words},
                severity="warning",
                setting="max_unknown_words",
                shows=("new_words",),
            ),
        ],
    )


def _left_out(settings: ValidateSettings) -> Suite:
    return Suite(
        name="left_out",
        about="What ingest lost, by its own dropped.parquet.",
        shows=("kind",),
        rules=[
            Rule(
                name="share_left_out",
                says=f"ingest lost at most {settings.max_left_out:.1%} of the pictures, and of"
                " the captions",
                why="What is lost is seldom lost by chance. dropped.parquet says why, by line.",
                kind=gxe.ExpectColumnValuesToBeBetween,
                asks={"column": "share", "max_value": settings.max_left_out},
                setting="max_left_out",
                shows=("left_out", "read", "reasons"),
            )
        ],
    )


def _where(condition: str) -> dict[str, str]:
    """Ask only the rows for which a condition of pandas' `query` is true."""
    return {"row_condition": condition, "condition_parser": "pandas"}


def _but(share: float) -> str:
    """Tell how many may break a rule."""
    return f", but for at most {share:.2%}" if share else ""
