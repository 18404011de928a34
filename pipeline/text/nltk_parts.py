"""What this project uses of NLTK: its tokeniser for English, and its counts of words.

NLTK imports scipy.stats, which takes longer than most stages, for one statistic of collocations;
it does without where there is no SciPy. So it is told that there is none while it is imported.
"""

import importlib
import sys
from typing import Any

STATISTICS = "scipy.stats"


def _without_statistics(module: str) -> Any:
    """Import a module of NLTK as if SciPy were not installed."""
    if STATISTICS in sys.modules:  # somebody has paid for it already
        return importlib.import_module(module)
    sys.modules[STATISTICS] = None  # type: ignore[assignment]  # importing it is an ImportError
    try:
        return importlib.import_module(module)
    finally:
        del sys.modules[STATISTICS]


FreqDist = _without_statistics("nltk").FreqDist
NLTKWordTokenizer = _without_statistics("nltk.tokenize.destructive").NLTKWordTokenizer
