"""Penn Treebank tokens, as the official scores take them: those of `pycocoevalcap`'s PTBTokenizer.

Source: the tokeniser of Stanford CoreNLP 3.4.1, in lower case, without the punctuation marks that
`pycocoevalcap` leaves out.

    "A dog's ball (2 1/2 in.), isn't it?"  ->  a dog 's ball -lrb- 2~1/2 in -rrb- is n't it

A mixed number such as "2 1/2", and a telephone number, are one token with a no-break space (~).
"""

from collections.abc import Sequence

from pipeline.evaluation.java import MetricUnavailable, run

_FOLDER = "tokenizer"
_ARGUMENTS = (
    "-cp",
    "stanford-corenlp-3.4.1.jar",
    "edu.stanford.nlp.process.PTBTokenizer",
    "-preserveLines",
    "-lowerCase",
    "-encoding",
    "UTF-8",
)
# As in pycocoevalcap. In fact brackets stay, as they are in lower case by then.
_QUOTES = {"''", "'", "``", "`"}
_BRACKETS = {"-LRB-", "-RRB-", "-LCB-", "-RCB-"}
_PUNCTUATION = _QUOTES | _BRACKETS | {".", "?", "!", ",", ":", "-", "--", "...", ";"}
# What the tokeniser takes for the end of a line. pycocoevalcap replaces the first one alone, and
# gives the captions after any other one to the wrong pictures.
_LINE_ENDS = str.maketrans(dict.fromkeys("\n\r\x0b\x0c\x85\u2028\u2029", " "))
_START_SECONDS = 120.0  # it takes 0.3 s
_TEXT_SECONDS = 0.001  # it takes 0.03 ms


def ptb_tokenize(texts: Sequence[str], timeout: float | None = None) -> list[list[str]]:
    """Tokenise all texts in one run of Java, which takes 0.3 s to start.

    Args:
        texts: captions as people or a captioner wrote them; empty ones have no tokens.
        timeout: seconds that Java may take; by default 120, and 0.001 for each text.

    Returns:
        the tokens of each text.

    Raises:
        MetricUnavailable: the tokeniser cannot be run here.
    """
    if not texts:
        return []
    allowed = _START_SECONDS + _TEXT_SECONDS * len(texts) if timeout is None else timeout
    text = "\n".join(one.translate(_LINE_ENDS) for one in texts)
    output = run(_FOLDER, _ARGUMENTS, text, allowed)
    lines = output.split("\n")
    if len(lines) != len(texts):
        raise MetricUnavailable(
            f"the PTB tokeniser wrote {len(lines)} lines for {len(texts)} captions"
        )
    return [_words(line) for line in lines]


def _words(line: str) -> list[str]:
    # Split at spaces alone: the no-break space is part of a token.
    return [word for word in line.rstrip().split(" ") if word and word not in _PUNCTUATION]
