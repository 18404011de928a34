"""Which tests one worker of pytest-xdist runs together."""

from xdist.scheduler import LoadFileScheduling

# Their fixtures train a captioner and compute features, once for each worker that needs them.
TOGETHER = ("tests/stages/",)


class LoadFolderScheduling(LoadFileScheduling):
    """`--dist loadfile`, but for folders whose files share dear fixtures: one worker for each."""

    def _split_scope(self, nodeid: str) -> str:
        folders = (folder for folder in TOGETHER if nodeid.startswith(folder))
        return next(folders, super()._split_scope(nodeid))
