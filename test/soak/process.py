"""The soak's processes: what one holds, and one that is killed."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from demo.children import kill, start

_SHARED_MEMORY = Path("/dev/shm")


def held(pid: int) -> dict[str, float]:
    """Mebibytes, threads and open files of a process.

    `rss` counts every page that is mapped, also those of the shared-memory segments of the processes it talks to; `pss`
    its share of them; `private` what it has allocated itself. Raises psutil.NoSuchProcess.
    """
    process = psutil.Process(pid)
    maps = process.memory_maps(grouped=False)
    fields = {"rss": "rss", "pss": "pss", "private": "anonymous"}
    memory = {ours: round(sum(getattr(m, field) for m in maps) / 2**20, 2) for ours, field in fields.items()}
    return memory | {"threads": process.num_threads(), "files": process.num_fds()}


def shared_memory_of(pid: int) -> frozenset[str]:
    """Names in /dev/shm of the files that a process has made: Fast DDS keeps a lock on each open, the others map them.

    With them, the names of what Fast DDS locks them with.
    """
    names = (os.path.basename(file.path) for file in psutil.Process(pid).open_files())
    made = {name.removesuffix("_el") for name in names if name.startswith("fastrtps_") and name.endswith("_el")}
    return frozenset(there for m in made for there in (m, f"{m}_el", f"sem.{m}_mutex")) & _in_shared_memory()


def left_in_shared_memory(names: Iterable[str]) -> frozenset[str]:
    """Those of the names that are still there; they are deleted, and who has them mapped keeps them."""
    left = _in_shared_memory().intersection(names)
    for name in left:
        (_SHARED_MEMORY / name).unlink(missing_ok=True)
    return left


class Mortal:
    """A process that will be killed by SIGKILL; what it then leaves in /dev/shm, 68 MB, is deleted."""

    def __init__(
        self, children: ExitStack, environ: Mapping[str, str], module: str, args: Sequence[str], log: Path
    ) -> None:
        self.child = start(children, environ, module, args, log)

    def kill(self) -> frozenset[str]:
        """End it without a word to its peers; names in /dev/shm of others' files that it held."""
        made, maps = shared_memory_of(self.child.pid), psutil.Process(self.child.pid).memory_maps()
        kill(self.child)
        left_in_shared_memory(made)
        mapped = {os.path.basename(m.path) for m in maps if m.path.startswith(f"{_SHARED_MEMORY}/fastrtps_")}
        return frozenset(name for m in mapped for name in (m, f"sem.{m}_mutex")) - made


def _in_shared_memory() -> frozenset[str]:
    return frozenset(os.listdir(_SHARED_MEMORY))
