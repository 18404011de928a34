"""Great Expectations, imported so that it reports nothing to its makers and is no chatterbox.

Many of its versions send usage events unless told not to, and look at the environment when they
are first imported. So all that the package needs of GX is imported here, after it has been told.
"""

import logging
import os
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"
# On import alone it logs some 200 lines about its own parts.
logging.getLogger("great_expectations").setLevel(logging.WARNING)

import great_expectations as gx  # noqa: E402
import great_expectations.expectations as gxe  # noqa: E402
from great_expectations.render.renderer.page_renderer import (  # noqa: E402
    ValidationResultsPageRenderer,
)
from great_expectations.render.view import DefaultJinjaPageView  # noqa: E402

# This one sets its own level when it is imported.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)

__all__ = ["DefaultJinjaPageView", "ValidationResultsPageRenderer", "gx", "gxe", "quiet_context"]


def quiet_context() -> Any:
    """Make a context that lives in memory: nothing is read from a disk or left on one."""
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    return context
