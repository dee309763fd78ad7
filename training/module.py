"""DepthModule: the network, its loss, optimiser, schedule and metrics, for Lightning's Trainer."""

from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import Tensor

from mono_depth_ros.network import DepthNetwork
from training.losses import DepthLoss
from training.metrics import DepthMetrics, eigen_crop, valid_pixels
from training.pretrained import load_pretrained

Batch = dict[str, Tensor]


class DepthModule(pl.LightningModule):
    """Training of a `DepthNetwork`; the defaults are the paper's (table 2 and section 4.1).

    Args:
        encoder: a timm model; see `DepthNetwork`.
        decoder: ``sunet`` or ``unet``.
        width: see `Decoder`.
        max_depth: metres at which the sigmoid saturates.
        error: train the error head too.
        encoder_weights: a local file of ImageNet weights; None fetches timm's.
        start: a sealed checkpoint of the same network to start from instead (fine-tuning).
        loss: the loss; see `DepthLoss`.
        max_lr: of the decoder.
        encoder_lr: of the encoder; None is ``max_lr``.
        weight_decay: 0 is Adam, as in the paper; more is AdamW.
        warmup: share of the steps before OneCycleLR's peak.
        div_factor: the peak divided by the first learning rate.
        final_div_factor: the first learning rate divided by the last.
    """

    def __init__(
        self,
        loss: DepthLoss,
        encoder: str = "efficientnet_b2",
        decoder: str = "sunet",
        width: int | None = None,
        max_depth: float = 10.0,
        error: bool = False,
        encoder_weights: Path | None = None,
        start: Path | None = None,
        max_lr: float = 1e-4,
        encoder_lr: float | None = None,
        weight_decay: float = 0.0,
        warmup: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 100.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["loss"])
        self.network = DepthNetwork(encoder, decoder, width, max_depth, error).to(memory_format=torch.channels_last)
        self.loss = loss
        self.metrics = DepthMetrics()

    def setup(self, stage: str) -> None:
        """Load the first weights, once, where training starts."""
        if stage != "fit" or self.trainer.ckpt_path:
            return
        if self.hparams.start:
            load_sealed(self.network, self.hparams.start)
        else:
            load_pretrained(self.network.encoder, self.hparams.encoder, self.hparams.encoder_weights)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `DepthNetwork.forward`."""
        return self.network(image.contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """One step on image (N, 3, H, W), canonical depth and mask (N, 1, H, W)."""
        depth, log_error = self(batch["image"])
        values = self.loss(depth, log_error, batch["depth"], batch["mask"])
        self.log_dict({f"train/{name}": value for name, value in values.items()}, prog_bar=True)
        return values["loss"]

    def metric_depth(self, batch: Batch) -> Tensor:
        """Prediction at the truth's resolution (N, 1, H, W), in metres of the frame's own camera."""
        depth, _ = self(batch["image"])
        depth = torch.nn.functional.interpolate(depth.float(), batch["depth"].shape[-2:], mode="bilinear")
        return depth * batch["scale"].view(-1, 1, 1, 1)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Metrics of frames whose ``depth`` is in metres of their own camera and ``scale`` is f / f_canonical."""
        truth = batch["depth"]
        mask = batch["mask"] & valid_pixels(truth) & eigen_crop(*truth.shape[-2:]).to(truth.device)
        self.metrics.update(self.metric_depth(batch), truth, mask)

    def on_validation_epoch_end(self) -> None:
        """Log the means over all frames of all processes."""
        self.log_dict({f"val/{name}": float(value) for name, value in self.metrics.compute().items()}, prog_bar=True)
        self.metrics.reset()

    def configure_optimizers(self) -> dict:
        """Adam (0.9, 0.999) under OneCycleLR, whose momentum cycling would override beta1."""
        h = self.hparams
        rates = [h.encoder_lr or h.max_lr, h.max_lr]
        rest = [p for name, p in self.network.named_parameters() if not name.startswith("encoder.")]
        groups = [{"params": list(self.network.encoder.parameters())}, {"params": rest}]
        optimizer = torch.optim.AdamW(groups, lr=h.max_lr, betas=(0.9, 0.999), weight_decay=h.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=rates,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=h.warmup,
            div_factor=h.div_factor,
            final_div_factor=h.final_div_factor,
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
