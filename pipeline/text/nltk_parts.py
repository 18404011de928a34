"""What this project uses of NLTK: its tokeniser for English, and its counts of words.

NLTK imports SciPy, which takes longer than most stages, for statistics of collocations and for a
parser; it does without where there is no SciPy. So it is told that there is none meanwhile.
"""

import importlib
import sys
from typing import Any

SCIPY = "scipy"


def _without_scipy(module: str) -> Any:
    """Import a module of NLTK as if SciPy were not installed."""
    if SCIPY in sys.modules:  # somebody has paid for it already
        return importlib.import_module(module)
    sys.modules[SCIPY] = None  # type: ignore[assignment]  # importing it is an ImportError
    try:
        return importlib.import_module(module)
    finally:
        del sys.modules[SCIPY]


FreqDist = _without_scipy("nltk").FreqDist
NLTKWordTokenizer = _without_scipy("nltk.tokenize.destructive").NLTKWordTokenizer
