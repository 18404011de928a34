"""Gradio, made ready: found, silent towards the network, and kept to a folder of its own."""

import importlib.util
import os
from pathlib import Path

from pipeline.errors import InputError

# Set before Gradio is imported: it reads some of them only then.
SILENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",  # else it reports every start to api.gradio.app
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_ALLOWED_PATHS": "",
}


def make_ready(uploads: Path) -> None:
    """Set Gradio up; to be called before it is imported.

    Args:
        uploads: the folder that uploaded files go to; made where it is absent.

    Raises:
        InputError: Gradio is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise InputError(
            'serve: expected Gradio, which is not installed. Install it: pip install -e ".[serve]"'
        )
    os.environ.update(SILENT)
    uploads.mkdir(parents=True, exist_ok=True)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
