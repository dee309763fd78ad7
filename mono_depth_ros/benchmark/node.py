"""The node's part of a run: processes over DDS, which only the demo's room can start, hence a command of its own."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MODULE = "mono_depth_ros.demo.node_benchmark"
# On top of the seconds it measures: starting the processes, writing the picture, ending.
MARGIN = 240.0


def measure(checkpoint: Path, seconds: float, picture: Path | None) -> dict[str, Any]:
    """Run it and return what it wrote; a picture of where the time goes is written too, where one is wanted.

    Raises ChildProcessError when it fails or does not end.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "node.json"
        options = ["--checkpoint", str(checkpoint), "--seconds", str(seconds), "--output", str(output)]
        options += ["--plot", str(picture)] if picture else []
        process = subprocess.Popen([sys.executable, "-m", MODULE, *options])
        try:
            code = process.wait(seconds + MARGIN)
        except subprocess.TimeoutExpired as error:
            raise ChildProcessError(f"the node's benchmark has not ended in {error.timeout:.0f} s") from error
        finally:
            end(process)
        if code != 0:
            raise ChildProcessError(f"the node's benchmark ended with exit code {code}; its own message is above")
        return json.loads(output.read_text())


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt it, so that it ends its own processes; kill it if it does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
