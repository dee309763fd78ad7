"""The soak's processes: what the system says that one holds, and one that is killed."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from mono_depth_ros.demo.children import kill, start

_SHARED_MEMORY = Path("/dev/shm")


def held(pid: int) -> dict[str, float]:
    """Megabytes, threads and open files of a process.

    `rss` counts every page that is mapped, also those of the shared-memory segments of the processes it talks to;
    `private` (Pss_Anon) is what the process has allocated itself, `shared` (Pss_Shmem) its share of the segments.
    Raises OSError if there is no such process.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    names = {"rss": "Rss", "pss": "Pss", "private": "Pss_Anon", "shared": "Pss_Shmem"}
    return {ours: round(kilobytes[theirs] / 1024, 2) for ours, theirs in names.items()} | {
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        "files": len(os.listdir(f"/proc/{pid}/fd")),
    }


def shared_memory_of(pid: int) -> frozenset[str]:
    """Names in /dev/shm of the files that a process has made: Fast DDS keeps a lock on each open, the others map them.

    With them, the names of what Fast DDS locks them with.
    """
    targets = (os.path.basename(os.readlink(link)) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink())
    made = {name.removesuffix("_el") for name in targets if name.startswith("fastrtps_") and name.endswith("_el")}
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
        made, maps = shared_memory_of(self.child.pid), Path(f"/proc/{self.child.pid}/maps").read_text().splitlines()
        kill(self.child)
        left_in_shared_memory(made)
        mapped = {line.rsplit("/", 1)[1] for line in maps if f"{_SHARED_MEMORY}/fastrtps_" in line}
        return frozenset(name for m in mapped for name in (m, f"sem.{m}_mutex")) - made


def _in_shared_memory() -> frozenset[str]:
    return frozenset(os.listdir(_SHARED_MEMORY))
