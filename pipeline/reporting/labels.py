"""How scores are named, and numbers that may be negative are written."""

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


def label(metric: str) -> str:
    """Name a metric as papers do."""
    return LABELS.get(metric, metric)


def signed(value: float, digits: int = 3) -> str:
    """Write a difference; one that rounds to 0 has no sign."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")
