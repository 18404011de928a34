"""Feed readers with bytes that no writer of ours has written: an InputError, or they are read.

    uv pip install atheris                       # Linux; not one of the project's dependencies
    python -m tools.fuzz params                  # without end; what breaks it is kept in crash-*
    python -m tools.fuzz csv -runs=10000 -max_total_time=60

Atheris watches which branches of ours the bytes reach, and so finds what random ones do not. The
options are libFuzzer's. tests/test_hostile.py gives the same readers what hypothesis makes.
"""

import sys

import atheris

with atheris.instrument_imports(include=["pipeline"]):
    from tools.fuzz_readers import READERS, feed


def main() -> None:
    """Fuzz the reader that is named, with libFuzzer's options."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in READERS:
        sys.exit(f"usage: python -m tools.fuzz {{{','.join(READERS)}}} [-runs=N]")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda data: feed(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
