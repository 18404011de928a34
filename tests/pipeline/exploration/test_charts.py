"""The charts of `explore`: what they say is what they show."""

import numpy as np

from pipeline.exploration.charts import bubbles
from pipeline.exploration.counts import count_sizes


def test_the_disc_that_is_named_is_the_largest_one():
    # Sizes nearly alike are one disc, which may be larger than that of the commonest size.
    widths = np.array([100, 100, 100, 640, 640, 641, 641])
    heights = np.array([100, 100, 100, 480, 480, 480, 480])
    sizes = count_sizes(widths, heights)
    assert sizes.sizes[0].tolist() == [100, 100]
    drawn = bubbles(sizes)
    assert "the largest stands at 640 by 480 pixels" in drawn
    assert "640 \N{MULTIPLICATION SIGN} 480" in drawn
