"""Depth Anything V2 Small (Yang et al., 2024) from the configuration of `transformers`, with random weights."""

from torch import Tensor, nn


class DepthAnything(nn.Module):
    """`transformers`' model, its answer unwrapped."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Depth (N, 1, H, W) of a normalised image (N, 3, H, W); H and W are multiples of 14."""
        return self.model(image).predicted_depth[:, None]


def depth_anything_v2_small() -> DepthAnything:
    """DINOv2's small vision transformer, read at four depths, and the DPT head."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation
    from transformers.utils import logging

    logging.set_verbosity_error()  # Its remarks are about training.
    backbone = {
        "model_type": "dinov2",
        "hidden_size": 384,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "patch_size": 14,
        "image_size": 518,
        "out_indices": [3, 6, 9, 12],
        "reshape_hidden_states": False,
    }
    return DepthAnything(DepthAnythingForDepthEstimation(DepthAnythingConfig(backbone_config=backbone)))
