"""What tests of every kind share: a real browser, where the machine has one."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

import pipeline  # noqa: F401 - before numpy and TensorFlow: see pipeline/machine.py
from tests.disk import Disk, mounted

# Chromium would otherwise ask the network for updates of itself.
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, by name, slow tests for which no time is left: `.ci/run` has an hour on any machine."""
    until = float(os.environ.get("CAPTION_TESTS_UNTIL", "inf"))  # seconds since 1970
    if time.time() > until and item.get_closest_marker("slow"):
        pytest.skip("no time is left: CAPTION_TESTS_UNTIL has passed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together what shares dear fixtures: see tests/workers.py."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.workers import LoadFolderScheduling  # pytest runs without xdist, too

    return LoadFolderScheduling(config, log)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, the machine's own: playwright's would have to be downloaded.

    For one module and no longer: while it is open, playwright's event loop counts as running, and
    nothing else in the process can use asyncio.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", *QUIET]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """A small disk of memory."""
    with mounted(tmp_path_factory.mktemp("disk")) as small:
        yield small


@pytest.fixture(scope="module")
def own_python() -> Iterator[None]:
    """Let `python` in dvc.yaml be the one that runs the tests, importing nothing from here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        patch.setenv("PYTHONPATH", "")
        yield
