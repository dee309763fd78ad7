"""Commands: fit, validate and test are LightningCLI's; the others are the project's own."""

import sys

from training import ablation, average, compare, distill, prepare, seal, throughput
from training.anchors import bag, prior, table
from training.lightning_cli import run_lightning

OWN_COMMANDS = {
    "ablation": ablation.main,
    "anchors": table.main,
    "anchors-prior": prior.main,
    "average": average.main,
    "compare": compare.main,
    "distill": distill.main,
    "prepare": prepare.main,
    "scan-bag": bag.main,
    "seal": seal.main,
    "throughput": throughput.main,
}


def main(arguments: list[str] | None = None) -> None:
    """Run one command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in OWN_COMMANDS:
        OWN_COMMANDS[arguments[0]](arguments[1:])
    else:
        run_lightning(arguments)
