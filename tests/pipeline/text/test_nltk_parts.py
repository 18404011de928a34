"""NLTK comes without the second that SciPy takes, and leaves SciPy as it was."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from pipeline.text.nltk_parts import FreqDist, NLTKWordTokenizer
assert "scipy" not in sys.modules
assert NLTKWordTokenizer().tokenize("a dog's") == ["a", "dog", "'s"]
assert FreqDist("aab")["a"] == 2
import scipy.stats
assert scipy.stats.fisher_exact
"""


def test_scipy_is_not_loaded_and_can_be_loaded_later():
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", CODE], check=True, cwd=root)
