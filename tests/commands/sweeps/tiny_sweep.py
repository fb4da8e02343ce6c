"""``sweep.py`` whose trials can train the tiny networks.

Called as ``python -m tests.commands.sweeps.tiny_sweep FOLDER ARGUMENT…``. FOLDER gets the commands
of the trials.
"""

import sys
from pathlib import Path

import models
import sweep
from cli import console
from sweeping import commands

TINY = "tests.commands.tiny_network", ("tiny", "tiny-wide")

COMMAND = """import runpy, sys
sys.path.insert(0, {root!r})
import models
models.FAMILIES[{module!r}] = {names!r}
runpy.run_path({script!r}, run_name="__main__")
"""


def main() -> int:
    """Write the commands and run the sweep."""
    folder, argv = Path(sys.argv[1]).resolve(), sys.argv[2:]
    module, names = TINY
    for name in ("learn_classifier.py", "learn_image_embeddings.py"):
        root, script = str(commands.ROOT), str(commands.ROOT / name)
        text = COMMAND.format(root=root, module=module, names=names, script=script)
        (folder / name).write_text(text)
    commands.ROOT = folder
    models.FAMILIES[module] = names
    sys.argv[0] = "sweep.py"
    return sweep.main(argv)


if __name__ == "__main__":
    console.end_process(main)
