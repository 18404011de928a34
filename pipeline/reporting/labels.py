"""How scores and figures are named, and how numbers and captions are written."""

from typing import NamedTuple

NO_WORDS = "(no words)"

LABELS = {
    "bleu_1": "BLEU-1",
    "bleu_2": "BLEU-2",
    "bleu_3": "BLEU-3",
    "bleu_4": "BLEU-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
    "spice": "SPICE",
    "mean_score": "mean of BLEU-4, ROUGE-L, CIDEr-D",
    "fact_accuracy": "captions true of their picture",
}


SPLITS = {  # that scores may be of -> what training has to do with its pictures
    "test": "the test split, which training did not see",
    "val": "the validation split, by which training chose its best epoch",
    "train": "the training split, which the model was trained on",
}


class Figure(NamedTuple):
    """How a figure of metrics.json is told."""

    label: str
    share: bool = False  # whether it is one, which the page shows in percent


FIGURES = {  # of metrics.json, beside the scores, in the order shown
    "fact_accuracy": Figure(LABELS["fact_accuracy"], share=True),
    "human_cider_d": Figure("CIDEr-D of people, each against the others"),
    "oracle_cider_d": Figure("CIDEr-D of the best of the n best"),
    "distinct_share": Figure("captions that are distinct", share=True),
    "novel_share": Figure("captions not in the training set", share=True),
    "bad_ending_share": Figure("captions that end in the middle, as in “a dog on a”", share=True),
    "repeated_word_share": Figure("captions with a word twice in a row", share=True),
    "repeated_pair_share": Figure("captions with a pair of words twice", share=True),
    "words_used": Figure("different words used"),
    "vocabulary_share": Figure("of the vocabulary used", share=True),
    "mean_words": Figure("words a caption"),
}


def label(metric: str) -> str:
    """Name a metric as papers do, or a figure in plain words."""
    return LABELS.get(metric) or (FIGURES[metric].label if metric in FIGURES else metric)


def said(caption: str) -> str:
    """Write a caption; one without words says so, where it would be a blank."""
    return caption if caption.strip() else NO_WORDS


def signed(value: float, digits: int = 3) -> str:
    """Write a difference; one that rounds to 0 has no sign."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")
