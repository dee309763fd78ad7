"""The commands that docs/training.md gives: each parses, and those for many processes share their batch."""

import re
import shlex
from string import Template

import pytest

from test.conftest import REPOSITORY
from training.data.module import RgbdData
from training.lightning_cli import DepthCLI
from training.module import DepthModule

_LINES = (REPOSITORY / "docs/training.md").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
COMMANDS = [line.partition("#")[0].strip() for line in _LINES if re.match(r"\s*(torchrun|python -m training) ", line)]
VARIABLES = {found[1]: found[2] for line in _LINES if (found := re.fullmatch(r'\s*([A-Z]+)="?(.*?)"?', line))}
LIGHTNING = [line for line in COMMANDS if re.search(r" training (fit|validate|test) ", line)]


class Parsed(DepthCLI):
    """The command line as far as its parser goes: neither frames nor weights are here."""

    def instantiate_classes(self) -> None:
        """Nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Nothing."""


def parsed(command, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    while "$" in command:
        command = Template(command).substitute(VARIABLES)
    words = shlex.split(command)
    arguments = words[words.index("training") + 1 :]
    return Parsed(DepthModule, RgbdData, args=arguments, seed_everything_default=0).config[arguments[0]]


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
@pytest.mark.parametrize("command", LIGHTNING)
def test_a_command_of_the_document_parses(command, monkeypatch):
    assert parsed(command, monkeypatch).trainer.default_root_dir


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter")
@pytest.mark.parametrize("command", [command for command in LIGHTNING if command.startswith("torchrun")])
def test_a_command_for_several_processes_names_as_many_to_torchrun_as_to_the_trainer(command, monkeypatch):
    config = parsed(command, monkeypatch)
    named = {name: int(number) for name, number in re.findall(r"--(nnodes|nproc_per_node) (\d+)", command)}
    devices = int(config.trainer.devices)
    assert named.get("nnodes", 1) == config.trainer.num_nodes and named["nproc_per_node"] == devices
    assert config.data.batch_size % (config.trainer.num_nodes * devices) == 0


def test_the_document_has_commands_for_one_process_and_for_several():
    assert len(LIGHTNING) > 5 and sum(command.startswith("torchrun") for command in LIGHTNING) == 2
