"""The paper's network in PyTorch: a timm encoder, an SU-Net or U-Net decoder and a depth head."""

from mono_depth_ros.network.decoder import DECODERS, SFF, SUNetDecoder, UNetDecoder
from mono_depth_ros.network.encoder import Encoder
from mono_depth_ros.network.model import DepthNetwork, half

__all__ = ["DECODERS", "SFF", "DepthNetwork", "Encoder", "SUNetDecoder", "UNetDecoder", "half"]
