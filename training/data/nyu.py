"""What all copies of NYU Depth V2 share: the camera, the untrusted border, the official split."""

from typing import Literal

from mono_depth_ros.camera import CameraModel

CAMERA = CameraModel.nyu()
# Undistorting and registering the Kinect's images left a white frame around the colour and holes in the depth.
BORDER = 8

FRAMES = 1449
# Bit i is 1 where frame i (counted from 0) of nyu_depth_v2_labeled.mat is for training: splits.mat's trainNdxs less 1.
_TRAINING = int(
    "fe1f0fc03e01807ffe67f0e3f030fff9f018800f03fe001c3ff8c1f07000f07f031981c0007f38038fe101007003fffce67f"
    "9c7f8ff1f0f83ffe018c3ff8ff871f8ff1ffffffff8fc0f1c000ff8fc1f07ff80000003fff3fc307ce01f8cc1e06073c79e7"
    "c0ffe0e783fc3f83f800038ff8e3c00207ffffffe00c1fff00f81fffc3ffe3c07ffff0033fff800fe31fc07fe03e3f7ffdff"
    "ffffc7f03c000007023ff8fffec20f8ffffff80787ff827f980007ec1efc",
    base=16,
)

Split = Literal["train", "test"]


def official_rows(split: Split) -> list[int]:
    """Indices, from 0, of the labelled set's 795 training or 654 test frames (Silberman et al., 2012)."""
    wanted = {"train": 1, "test": 0}[split]
    return [row for row in range(FRAMES) if _TRAINING >> row & 1 == wanted]
