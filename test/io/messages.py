"""Image messages as plain values: what the decoders of `io` take from whoever deserialised one."""

import array
from dataclasses import dataclass, field


@dataclass
class Image:
    """sensor_msgs/Image."""

    height: int = 0
    width: int = 0
    encoding: str = ""
    is_bigendian: int = 0
    step: int = 0
    data: array.array = field(default_factory=lambda: array.array("B"))


@dataclass
class CompressedImage:
    """sensor_msgs/CompressedImage."""

    format: str = ""
    data: array.array = field(default_factory=lambda: array.array("B"))
