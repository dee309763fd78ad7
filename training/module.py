"""DepthModule: the network, its loss, optimiser, schedule and metrics, for Lightning's Trainer."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mono_depth_ros import checkpoint
from mono_depth_ros.network import DepthNetwork
from training.losses import DepthLoss, log_difference
from training.lsq import quantise
from training.metrics import DepthMetrics, ErrorMetrics, eigen_crop
from training.pretrained import load_pretrained
from training.report import write_reliability, write_report
from training.run_folder import LAST

Batch = dict[str, Tensor]
# How the network's weights are called in a training checkpoint.
NETWORK = "network."


class DepthModule(pl.LightningModule):
    """Training of a `DepthNetwork`; the defaults are the paper's (table 2 and section 4.1).

    Args:
        network: another network in place of the paper's, such as a baseline (`training.baselines`), with the forward of
            `DepthNetwork`; then ``encoder`` says whose ImageNet weights and normalisation its encoder has, and decoder,
            width and error mean nothing.
        encoder: a timm model; see `DepthNetwork`.
        decoder: ``sunet`` or ``unet``.
        width: see `Decoder`.
        max_depth: metres at which the sigmoid saturates.
        error: train the error head too.
        encoder_weights: a local file of ImageNet weights, or an installed package that holds one; None fetches timm's;
            ``random`` begins without any.
        start: a checkpoint of the same network, sealed or a training run's (.ckpt), to start from instead
            (fine-tuning), or to test.
        quantise_bits: 2 to 8 trains the network with learned step sizes, see `training.lsq`; 0 does not.
        drop_path: share of the encoder's residual blocks that a training image skips, at most (the last block's).
        freeze_norm: keep batch normalisation's statistics as they are (small batches, fine-tuning).
        loss: the loss; see `DepthLoss`.
        max_lr: of the decoder.
        encoder_lr: of the encoder; None is ``max_lr``.
        weight_decay: 0 is Adam, as in the paper; more is AdamW. Biases and norms have none.
        warmup: share of the steps before OneCycleLR's peak.
        div_factor: the peak divided by the first learning rate.
        final_div_factor: the first learning rate divided by the last.
        seed: of dropout and drop path; `training.lightning_cli` makes it the run's one seed.
    """

    def __init__(
        self,
        loss: DepthLoss,
        network: nn.Module | None = None,
        encoder: str = "efficientnet_b2",
        decoder: str = "sunet",
        width: int | None = None,
        max_depth: float = 10.0,
        error: bool = False,
        encoder_weights: str | None = None,
        start: str | None = None,
        quantise_bits: int = 0,
        drop_path: float = 0.0,
        freeze_norm: bool = False,
        max_lr: float = 1e-4,
        encoder_lr: float | None = None,
        weight_decay: float = 0.0,
        warmup: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 100.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["loss", "network"])
        network = network or DepthNetwork(encoder, decoder, width, max_depth, error)
        self.network = network.to(memory_format=torch.channels_last)
        set_drop_path(self.network, drop_path)
        if quantise_bits:
            quantise(self.network, quantise_bits)
        freeze_unused(self.network, loss)
        self.loss = loss
        self.has_weights = False
        self.depth_metrics, self.error_metrics = DepthMetrics(max_depth), ErrorMetrics()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note that Lightning brings the weights, and plan the rest of the learning rate by this configuration.

        The schedule's own plan would end in mid-run where ``max_epochs``, the batch or the frames are others now. The
        new plan goes on behind as many epochs, whose steps are more or fewer with another batch.

        Raises ValueError where another run's checkpoint has ended as many epochs already.
        """
        self.has_weights = True
        trainer = self.trainer
        if trainer.state.fn != "fit" or not trainer.max_epochs:
            return
        ended = checkpoint["epoch"] + 1
        if 0 < trainer.max_epochs <= ended and not (Path(trainer.default_root_dir) / LAST).is_file():
            raise ValueError(
                f"--ckpt_path: the checkpoint has ended {ended} epochs of max_epochs ({trainer.max_epochs}): nothing "
                "is left to train; name more of them, or begin a new run with its weights by --model.start"
            )
        for schedule in checkpoint["lr_schedulers"]:
            for planned in ("total_steps", "_schedule_phases"):
                schedule.pop(planned, None)
            epoch = trainer.estimated_stepping_batches / trainer.max_epochs  # in steps
            schedule["last_epoch"] = round(epoch * ended)

    def on_fit_start(self) -> None:
        """Start from the checkpoint named, or from ImageNet's weights."""
        if not self.has_weights and not self.hparams["start"]:
            encoder: Any = getattr(self.network, "encoder", None)
            if encoder is not None and self.hparams["encoder_weights"] != "random":
                load_pretrained(encoder.features, self.hparams["encoder"], self.hparams["encoder_weights"])
            self.has_weights = True
        self.require_weights()

    def on_validation_start(self) -> None:
        """See `require_weights`."""
        self.require_weights()

    def on_test_start(self) -> None:
        """See `require_weights`."""
        self.require_weights()

    def require_weights(self) -> None:
        """Load the checkpoint named, unless Lightning restored one.

        Raises:
            ValueError: neither was named, and figures of random weights would be worth nothing.
        """
        if not self.has_weights:
            if not self.hparams["start"]:
                raise ValueError("no weights to test; name them by --ckpt_path, or --model.start")
            load_start(self.network, self.hparams["start"])
            self.has_weights = True

    def on_train_epoch_start(self) -> None:
        """Hold batch normalisation still where asked to."""
        if self.hparams["freeze_norm"]:
            for module in self.network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make what dropout draws a function of the seed, the epoch and the batch's number over all processes.

        So a resumed run drops what an unbroken one does, and two processes what one does in two batches.
        """
        number = batch_idx * self.trainer.world_size + self.global_rank
        (seed,) = np.random.SeedSequence((self.hparams["seed"], self.current_epoch, number)).generate_state(1).tolist()
        torch.manual_seed(seed)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `DepthNetwork.forward`."""
        return self.network(image.contiguous(memory_format=torch.channels_last))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """One step on image (N, 3, H, W), canonical depth and mask (N, 1, H, W)."""
        if own_loss := getattr(self.network, "training_loss", None):
            values = {"loss": own_loss(batch["image"], batch["depth"], batch["mask"])}
        else:
            values = self.loss(*self(batch["image"]), batch["depth"], batch["mask"])
        self.log_dict({f"train/{name}": value for name, value in values.items()}, prog_bar=True)
        return values["loss"]

    def metric_depth(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Depth (N, 1, H, W) in metres of the frames' own cameras at the truth's size, and the network's log error."""
        depth, log_error = self(batch["image"])
        return at_size_of(batch["depth"], depth) * batch["scale"].view(-1, 1, 1, 1), log_error

    def evaluate(self, batch: Batch) -> None:
        """Add frames whose ``depth`` is in metres of their own camera and ``scale`` is f / f_canonical."""
        truth = batch["depth"]
        depth, log_error = self.metric_depth(batch)
        mask = batch["mask"] & eigen_crop(*truth.shape[-2:]).to(truth.device)
        self.depth_metrics.update(depth, truth, mask)
        if log_error is not None:
            residual = log_difference(depth, truth, mask).abs()
            self.error_metrics.update(residual, at_size_of(truth, log_error).exp(), depth, truth, mask)

    def results(self) -> dict[str, float]:
        """All figures of the frames evaluated so far."""
        errors = self.error_metrics.compute() if self.network.error_head else {}
        return {**self.depth_metrics.compute(), **errors}

    def validation_step(self, batch: Batch, index: int) -> None:
        """Evaluate one batch."""
        self.evaluate(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the figures of all frames of all processes, and start anew."""
        results = self.results()
        self.log_dict({f"val/{name}": value for name, value in results.items()})
        self.log("RMSE", results["RMSE"], prog_bar=True, logger=False)
        self.depth_metrics.reset()
        self.error_metrics.reset()

    def test_step(self, batch: Batch, index: int) -> None:
        """Evaluate one batch."""
        self.evaluate(batch)

    def on_test_epoch_end(self) -> None:
        """Print the table; write ``test.json`` and ``reliability.png`` into the run's folder."""
        results = self.results()
        with self.depth_metrics.sync_context(), self.error_metrics.sync_context():  # the rows of all processes
            table, errors = self.depth_metrics.table(), self.error_metrics.table()
        if self.trainer.is_global_zero:
            folder = Path(self.trainer.default_root_dir)
            write_report(folder, results, table, self.hparams["max_depth"])
            if self.network.error_head:
                write_reliability(folder / "reliability.png", errors)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam (0.9, 0.999) under OneCycleLR, whose momentum cycling would override beta1."""
        h = self.hparams
        groups = parameter_groups(self.network, h["encoder_lr"] or h["max_lr"], h["max_lr"], h["weight_decay"])
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999))
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in groups],
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=h["warmup"],
            div_factor=h["div_factor"],
            final_div_factor=h["final_div_factor"],
            cycle_momentum=False,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def parameter_groups(network: nn.Module, encoder_lr: float, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW: the encoder's weights and the rest's, and of each its vectors (biases, norms) without decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        groups[name.startswith("encoder."), parameter.ndim <= 1].append(parameter)
    return [
        {
            "params": parameters,
            "lr": encoder_lr if in_encoder else lr,
            "weight_decay": 0.0 if is_vector else weight_decay,
        }
        for (in_encoder, is_vector), parameters in groups.items()
    ]


def freeze_unused(network: nn.Module, loss: DepthLoss) -> None:
    """Freeze what no loss reaches: several processes (DDP) would wait for its gradient for ever."""
    if isinstance(network, DepthNetwork):
        network.requires_grad_(bool(loss.terms))
        if network.error_head:
            network.error_head.requires_grad_(bool(loss.weights.error))


def set_drop_path(network: nn.Module, largest: float) -> None:
    """Let training skip residual blocks (stochastic depth), with a probability that grows linearly to ``largest``."""
    blocks = [module for module in network.modules() if hasattr(module, "drop_path")]
    for number, block in enumerate(blocks):
        block.drop_path = DropPath(largest * number / max(len(blocks) - 1, 1)) if largest else nn.Identity()


def at_size_of(truth: Tensor, values: Tensor) -> Tensor:
    """Bring a map (N, 1, h, w) to the truth's height and width, as the node does."""
    return interpolate(values.float(), truth.shape[-2:], mode="bilinear", align_corners=False)


def read_network(path: str) -> dict[str, Tensor]:
    """The network's weights by name, float32, of a sealed or a training checkpoint (there, the average if one is kept).

    Raises:
        CheckpointError: see `mono_depth_ros.checkpoint.load`.
        OSError, ValueError: a ``.ckpt`` that is not there, or holds no network.
    """
    if Path(path).suffix != ".ckpt":
        return {name: torch.from_numpy(value) for name, value in checkpoint.load(path).weights().items()}
    state = torch.load(path, map_location="cpu", weights_only=True).get("state_dict", {})
    weights = {name.removeprefix(NETWORK): value for name, value in state.items() if name.startswith(NETWORK)}
    if not weights:
        raise ValueError(f"{path}: found no network in it, expected a checkpoint of `python -m training fit`")
    return weights


def load_start(network: nn.Module, path: str) -> None:
    """Load `read_network`'s weights. Raises ValueError where they are another network's."""
    try:
        network.load_state_dict(read_network(path))
    except RuntimeError as error:
        raise ValueError(f"start: {path} holds another network than the configuration's model: {error}") from error
