"""`python -m benchmark`: measure this machine, print the tables, and write the report."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

PARTS = ("backends", "peers", "node")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run. Returns the exit code: 1 for an error, whose message goes to stderr, 130 for Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Either way the processes that were started are ended.
    options = parser().parse_args(arguments)
    try:
        run(options)
    except (RuntimeError, OSError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"benchmark: {error}; pip install --editable '.[benchmark,ros]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(prog="python -m benchmark", description=__doc__)
    found.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    found.add_argument("--checkpoint", type=Path, help="a .safetensors file (default: the one that ships)")
    found.add_argument("--rounds", type=int, default=20, help="turns of each contender (default: 20)")
    found.add_argument("--seconds", type=float, default=300.0, help="of the node's run, after its warm-up")
    found.add_argument("--report", type=Path, help=".md file to write; pictures and numbers go beside it")
    found.add_argument("--results", type=Path, help="numbers of an earlier run (.json): measure nothing, report them")
    return found


def run(options: argparse.Namespace) -> None:
    """Measure and report. The node comes first, then what may miss a package, so that a fault shows at once.

    Raises:
        RuntimeError: a backend, the checkpoint or the node's run failed.
        ModuleNotFoundError: a package is missing.
        OSError, ValueError: files and options.
    """
    parts = options.parts or PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ValueError(f"part: found {', '.join(unknown)}, expected of {', '.join(PARTS)}")
    if options.rounds < 1 or options.seconds <= 0:
        raise ValueError(f"found --rounds {options.rounds} and --seconds {options.seconds:g}, expected both above 0")
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
    from benchmark import backends, peers, tables  # here: each worker of a race imports this file
    from benchmark.results import Results, gather_facts
    from mono_depth_ros import checkpoint as checkpoints
    from mono_depth_ros.backends import machine

    if options.results:
        found = Results.load(options.results)
    else:
        checkpoint, here = checkpoints.load(options.checkpoint), machine.detect()
        facts = gather_facts(here, checkpoint.path.stem)
        node_run = None
        if "node" in parts:
            from benchmark import node

            node_run = node.measure(checkpoint.path, options.seconds)
        duels = peers.measure(checkpoint, here, options.rounds) if "peers" in parts else []
        timings = backends.measure(checkpoint, here, options.rounds) if "backends" in parts else []
        found = Results(facts, options.rounds, timings, duels, node_run)
    print(tables.printed(found))
    if options.report:
        from benchmark import report

        report.write(found, options.report)


if __name__ == "__main__":
    sys.exit(main())
