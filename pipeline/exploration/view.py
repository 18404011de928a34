"""The page of `explore`: what was found, as figures, tables and pictures."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from PIL import Image

from pipeline.evaluation.tokens import FloatArray
from pipeline.exploration import charts, story
from pipeline.exploration.agreement import sample
from pipeline.exploration.counts import (
    Frequencies,
    Sizes,
    shares,
    zipf_exponent,
)
from pipeline.exploration.settings import ExploreSettings
from pipeline.exploration.survey import BIN, Survey, extremes, histograms
from pipeline.reporting.page import (
    Bar,
    Card,
    Html,
    Panel,
    Section,
    Table,
    bar_table,
    cards,
    code,
    element,
    embedded,
    figure,
    join,
    listing,
    page,
    paragraph,
    table,
    tiles,
)
from pipeline.tables import SPLITS

MOST_COUNTS = 12  # of captions a picture that have a line of their own
NAMES = ("words", "pairs of words", "triples of words")
EXPLAINED = (
    "Each caption is scored against the other captions of its picture, as a captioner's would be: "
    "CIDEr-D counts the phrases of one to four words that they share, rare phrases more than "
    "frequent ones; 0 shares nothing, 10 is the same. This is the mark to hold a captioner "
    "against. It can be passed: a captioner learns to say what most people would, where each "
    "person says what this one noticed."
)
ONE_FEWER = (
    "BLEU-4 and ROUGE-L are of one caption a picture against the others. Both favour many "
    "references, and a captioner is given one more: for people they are a little low. The document "
    "frequencies of CIDEr-D are of the pictures scored."
)


def choose(found: Survey, settings: ExploreSettings) -> tuple[list[int], dict[str, list[int]]]:
    """Choose the pictures to show: rows of images.parquet.

    They are of the training split, where it has captions: nobody should learn the test by heart.

    Returns:
        The sample; and the pictures whose captions are "most" and "least" alike, as places among
        those of the split's agreement, or no such entries.
    """
    split = shown_split(found)
    corpus = found.corpus
    own = (corpus.picture_split == SPLITS.index(split)) & (corpus.per_picture > 0)
    rows = [int(row) for row in np.flatnonzero(own)]
    drawn = sample([found.image_ids[row] for row in rows], settings.samples, settings.seed)
    if split not in found.agreement:
        return [rows[place] for place in drawn], {}
    most, least = extremes(found.agreement[split], settings.extremes)
    return [rows[place] for place in drawn], {"most": most, "least": least}


def shown_split(found: Survey) -> str:
    """Name the split whose pictures are shown."""
    return found.captioned[0]


def shown_rows(found: Survey, settings: ExploreSettings) -> list[int]:
    """List the pictures that `draw_page` needs: rows of images.parquet."""
    drawn, alike = choose(found, settings)
    agreement = found.agreement.get(shown_split(found))
    places = [place for group in alike.values() for place in group]
    return drawn + [agreement.pictures[place] for place in places] if agreement else drawn


def draw_page(
    found: Survey,
    captions: pa.Table,
    pictures: Mapping[int, Image.Image],
    settings: ExploreSettings,
) -> str:
    """Draw the page.

    Args:
        found: the numbers.
        captions: rows of `tables.CLEAN_CAPTIONS`, for the texts that are shown.
        pictures: those of `shown_rows`.
        settings: those that the numbers were made with.
    """
    drawn, alike = choose(found, settings)
    texts = captions["text"]
    sections = [
        Section("splits", "Splits", [_splits(found)]),
        Section("sample", "A sample of pictures", _sample(found, texts, pictures, drawn)),
        Section("captions", "Captions", [*_captions_a_picture(found), _lengths(found)]),
        Section("words", "Words", [_words(found), _rarity(found)]),
        Section("sizes", "Picture sizes", [_sizes(found.sizes)]),
        Section(
            "agreement",
            "How well people agree",
            _agreement(found, texts, pictures, alike, settings),
        ),
    ]
    foot = join(
        [
            *("Written by ", code("stages/explore.py"), " from ", code("ingest/images.parquet")),
            *(" and ", code("clean/captions.parquet"), ". Settings: section "),
            *(code("explore"), " of ", code("params.yaml"), "."),
        ]
    )
    return page("The data set", [tiles(_glance(found))], sections, foot)


def _glance(found: Survey) -> list[tuple[str, str]]:
    words = found.frequencies[0]
    items = [
        ("pictures", f"{len(found.image_ids):,}"),
        ("captions", f"{len(found.corpus.lengths):,}"),
        ("words a caption, on average", f"{found.corpus.lengths.mean():.1f}"),
        ("distinct words", f"{len(words.counts):,}"),
    ]
    for split in ("test", "val", "train"):
        if split in found.agreement:
            score = found.agreement[split].cider_d
            return [*items, (f"CIDEr-D of people, {split}", f"{score:.2f}")]
    return items


def _splits(found: Survey) -> Html:
    total = len(found.image_ids)
    pictures = [
        Bar(split, number, f"{number:,} ({story.percent(number / total)})")
        for split in SPLITS
        for number in [found.pictures_in(split)]
    ]
    captions = [
        Bar(split, number, f"{number:,}")
        for split in SPLITS
        for number in [len(found.lengths_in(split))]
    ]
    return listing(
        story.splits(found),
        "All captions of a picture are in the picture's split.",
        [
            bar_table("Pictures", ("split", "pictures"), pictures),
            bar_table("Captions", ("split", "captions"), captions),
        ],
    )


def _sample(
    found: Survey, texts: pa.ChunkedArray, pictures: Mapping[int, Image.Image], rows: Sequence[int]
) -> list[Html]:
    content = []
    for row in rows:
        own = [
            story.cut(texts[n].as_py(), story.LONGEST_CAPTION)
            for n in found.corpus.captions_of(row)
        ]
        content.append(
            Card(
                embedded(pictures[row], own[0]),
                found.image_ids[row],
                remark="",
                captions=[(text, "") for text in own],
            )
        )
    split = shown_split(found)
    note = (
        f"{story.counted(len(rows), 'picture', 'pictures')} of {split}, drawn at random, with "
        "their captions as found. No test picture is shown on this page where there are others."
    )
    return [paragraph(note), cards("A sample of pictures", content)]


def _captions_a_picture(found: Survey) -> list[Html]:
    counts = np.bincount(found.corpus.per_picture)
    title = story.captions_a_picture(found.corpus.per_picture)
    distinct = found.corpus.distinct_captions()
    total = len(found.corpus.lengths)
    note = f"All {total:,} captions are different."
    if distinct < total:
        note = f"{total - distinct:,} of {total:,} captions repeat another one word for word."
    if (counts > 0).sum() == 1:
        return [element("h3", title), paragraph(note)]
    bars = [
        Bar(story.counted(number, "caption", "captions"), count, f"{count:,}")
        for number, count in enumerate(counts[:MOST_COUNTS].tolist())
        if count
    ]
    if more := int(counts[MOST_COUNTS:].sum()):
        bars.append(Bar(f"{MOST_COUNTS} captions or more", more, f"{more:,}"))
    return [listing(title, note, [bar_table("Captions a picture", ("", "pictures"), bars)])]


def _lengths(found: Survey) -> Html:
    columns = {split: shares(found.lengths_in(split)) for split in found.captioned}
    return figure(
        story.lengths(found.corpus.lengths),
        "Captions by their number of words. Dark: the narrowest range that holds half of them.",
        charts.lengths(found),
        [_shares_table("Share of captions by number of words", "words", columns, str)],
    )


def _shares_table(
    caption: str, name: str, columns: Mapping[str, FloatArray], label: Callable[[int], str]
) -> Table:
    """Put shares side by side, a row a value; rows without any are left out."""
    longest = max(map(len, columns.values()))
    rows = []
    for place in range(longest):
        own = [column[place] if place < len(column) else 0.0 for column in columns.values()]
        if any(own):
            rows.append([label(place), *(f"{share:.2%}" for share in own)])
    return Table(caption, [name, *columns], rows)


def _words(found: Survey) -> Html:
    return listing(
        story.words(found.frequencies[0]),
        "How often each occurs in all captions together.",
        [
            bar_table(
                f"Most frequent {name}",
                ("", "times"),
                [Bar(story.cut(phrase), count, f"{count:,}") for phrase, count in one.top],
            )
            for name, one in zip(NAMES, found.frequencies, strict=True)
            if one.top
        ],
    )


def _rarity(found: Survey) -> Html:
    words = found.frequencies[0]
    exponent = zipf_exponent(words.counts)
    fitted = (
        f" of slope \N{MINUS SIGN}1; that of words here has \N{MINUS SIGN}{exponent:.2f}"
        if exponent
        else ""
    )
    return figure(
        story.rarity(words),
        f"Words and phrases by rank: Zipf's law is a straight line{fitted}. And how much of the "
        "text a vocabulary of the most frequent words covers.",
        [
            Panel("Frequency by rank", charts.zipf(found.frequencies)),
            Panel("Text covered by a vocabulary", charts.coverage(words)),
        ],
        [_ranks_table(found.frequencies)],
    )


def _ranks_table(orders: Sequence[Frequencies]) -> Table:
    longest = max(len(one.counts) for one in orders)
    ranks = [step * 10**power for power in range(9) for step in (1, 2, 5)]
    covered = np.cumsum(orders[0].counts) / orders[0].total
    rows = [
        [
            f"{rank:,}",
            *(f"{one.counts[rank - 1]:,}" if rank <= len(one.counts) else "" for one in orders),
            story.percent(covered[rank - 1]) if rank <= len(covered) else "",
        ]
        for rank in ranks
        if rank <= longest
    ]
    header = ["rank", "word", "pair", "triple", "text covered by words up to here"]
    return Table("Times that the word or phrase of a rank occurs", header, rows)


def _sizes(sizes: Sizes) -> Html:
    if len(sizes.sizes) == 1:
        return element("h3", story.sizes(sizes))
    return figure(
        story.sizes(sizes),
        "As stored, before a turn that a photograph's EXIF data may ask for. A disc's area is the "
        "number of pictures of about its size; square pictures lie on the dotted line.",
        [Panel("Width and height", charts.bubbles(sizes)), Panel("Shape", charts.shapes(sizes))],
        [_sizes_table(sizes)],
    )


def _sizes_table(sizes: Sizes) -> Table:
    rows = [
        [story.size(width, height), f"{count:,}", story.percent(count / sizes.counts.sum())]
        for (width, height), count in zip(sizes.sizes[:20], sizes.counts[:20].tolist(), strict=True)
    ]
    told = "The 20 most frequent" if len(sizes.sizes) > 20 else "All"
    caption = f"{told} of {len(sizes.sizes):,} sizes"
    return Table(caption, ["size in pixels", "pictures", "share"], rows)


def _agreement(
    found: Survey,
    texts: pa.ChunkedArray,
    pictures: Mapping[int, Image.Image],
    alike: Mapping[str, Sequence[int]],
    settings: ExploreSettings,
) -> list[Html]:
    if not found.agreement:
        why = (
            "This cannot be told here: it takes a split with two pictures or more that have "
            "captions, one of them two captions or more."
        )
        return [paragraph(why)]
    parts = [_agreement_figure(found), *_agreement_notes(found)]
    titles = {
        "most": "Most alike: what people agree on",
        "least": "Least alike: pictures that can be told in many ways",
    }
    for kind, places in alike.items():
        if places:
            content = [_alike_card(found, texts, pictures, place) for place in places]
            parts.append(join([element("h3", titles[kind]), cards(titles[kind], content)]))
    return [*parts, *_agreed_words(found, settings)]


def _agreed_words(found: Survey, settings: ExploreSettings) -> list[Html]:
    words, number = found.agreed_words, settings.top_words
    most = words[: min(number, -(-len(words) // 2))]
    least = list(reversed(words[len(most) :][-number:]))
    if not least:
        return []
    lists = (("Most agreed upon", most), ("Least agreed upon", least))
    note = (
        "How much more likely than chance another caption of the picture has the word too: 100% is "
        "always, 0% is chance. Words that are used of few pictures are left out."
    )
    tables = [
        bar_table(
            title,
            ("", "above chance"),
            [
                Bar(story.cut(one.word), max(one.above_chance, 0), story.signed(one.above_chance))
                for one in group
            ],
            largest=1.0,
        )
        for title, group in lists
    ]
    return [listing(story.agreed(words), note, tables)]


def _agreement_figure(found: Survey) -> Html:
    split = next(split for split in ("test", "val", "train") if split in found.agreement)
    columns = histograms(found.agreement)
    return figure(
        story.agreement(split, found.agreement[split]),
        EXPLAINED,
        charts.agreement(found),
        [
            _shares_table(
                "Share of pictures by CIDEr-D",
                "CIDEr-D",
                columns,
                lambda place: f"{place * BIN:.2f} to {(place + 1) * BIN:.2f}",
            )
        ],
    )


def _scores_table(found: Survey) -> Table:
    rows = [
        [
            split,
            f"{one.cider_d:.3f}",
            f"{one.bleu_4:.3f}",
            f"{one.rouge_l:.3f}",
            f"{len(one.pictures):,} of {one.sampled_from:,}",
        ]
        for split, one in found.agreement.items()
    ]
    return Table(
        "Scores of people", ["split", "CIDEr-D", "BLEU-4", "ROUGE-L", "pictures scored"], rows
    )


def _agreement_notes(found: Survey) -> list[Html]:
    clean = code("clean")
    tokens = join(
        [
            *("Scores here are of the words that ", clean, " made. A captioner's evaluation "),
            *("scores words of the Penn Treebank's tokeniser, as COCO's official one does, "),
            *("and captions that ", clean, " leaves out too: its figures differ slightly."),
        ]
    )
    return [table(_scores_table(found)), paragraph(ONE_FEWER), paragraph(tokens)]


def _alike_card(
    found: Survey, texts: pa.ChunkedArray, pictures: Mapping[int, Image.Image], place: int
) -> Card:
    one = found.agreement[shown_split(found)]
    row = one.pictures[place]
    scores = one.caption_scores[place]
    ranked = sorted(
        zip(one.captions[place], scores, strict=True), key=lambda pair: (-pair[1], pair[0])
    )
    own = [
        (story.cut(texts[caption].as_py(), story.LONGEST_CAPTION), f"{score:.2f}")
        for caption, score in ranked
    ]
    remark = f"CIDEr-D {one.picture_scores[place]:.2f}"
    return Card(embedded(pictures[row], own[0][0]), found.image_ids[row], remark, own)
