"""Commands: fit, validate and test are LightningCLI's; ablation and seal are the project's own."""

import sys

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from training import ablation, seal
from training.data.module import RgbdData
from training.module import DepthModule
from training.pretrained import normalisation

OWN_COMMANDS = {"ablation": ablation.main, "seal": seal.main}


class DepthCLI(LightningCLI):
    """LightningCLI that keeps what model and data must agree on in one place."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link: the range of depth, and the normalisation that the encoder was pretrained with."""
        parser.link_arguments("model.max_depth", "data.transform.max_depth")
        parser.link_arguments("model.max_depth", "model.loss.max_depth")
        parser.link_arguments("model.encoder", "data.transform.normalisation", compute_fn=normalisation)


def main(arguments: list[str] | None = None) -> None:
    """Run one command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in OWN_COMMANDS:
        OWN_COMMANDS[arguments[0]](arguments[1:])
    else:
        run_lightning(arguments)


def run_lightning(arguments: list[str]) -> DepthCLI:
    """Run fit, validate or test and return what ran."""
    return DepthCLI(
        DepthModule,
        RgbdData,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        args=arguments,
    )
