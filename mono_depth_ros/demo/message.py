"""A message as it comes off the wire: its header is read without decoding the rest."""

import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """A serialised message (CDR), and when it was published, in ns since the epoch."""

    data: bytes
    published: int

    @property
    def stamp(self) -> int:
        """The header's stamp in ns."""
        seconds, nanoseconds = struct.unpack_from(self._order + "iI", self.data, 4)
        return seconds * 10**9 + nanoseconds

    @property
    def frame_id(self) -> str:
        """The header's frame_id."""
        (length,) = struct.unpack_from(self._order + "I", self.data, 12)
        return bytes(self.data[16 : 16 + length]).rstrip(b"\0").decode()

    @property
    def _order(self) -> str:
        return "<" if self.data[1] & 1 else ">"
