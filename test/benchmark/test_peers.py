"""The peers: as large as published, of the published output sizes, and the same in OpenVINO as in PyTorch."""

import numpy as np
import pytest
import torch

from benchmark.eager import Eager, export
from benchmark.peers import DEPTH_ANYTHING, FAST_DEPTH, FCRN, METER, YOLO
from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
from training.baselines import cost


@pytest.mark.parametrize(
    ("peer", "millions"), [(FAST_DEPTH, 3.96), (FCRN, 63.6), (DEPTH_ANYTHING, 24.8), (METER, 0.71)]
)
def test_each_has_as_many_parameters_as_published(peer, millions):
    assert cost.parameters(peer.build()) == pytest.approx(millions, rel=0.005)


def test_yolo_has_as_many_parameters_as_its_configuration_gives():
    """The library, given the same configuration, makes 5,174,945, as many in every layer; its table says 6.4 M."""
    assert cost.parameters(YOLO.build()) == 5.174945


@pytest.mark.parametrize(("peer", "gigamacs"), [(FAST_DEPTH, 0.74), (YOLO, 46.9 / 2)])
def test_it_takes_the_published_operations(peer, gigamacs):
    assert cost.gigamacs(peer.build(), peer.size) == pytest.approx(gigamacs, rel=0.01)


@pytest.mark.parametrize(("peer", "expected"), [(FAST_DEPTH, (224, 224)), (FCRN, (128, 160)), (METER, (48, 64))])
def test_depth_has_the_published_size_before_it_is_brought_to_the_images(peer, expected):
    network = peer.build().eval()
    image = torch.zeros(1, 3, *peer.size)
    with torch.inference_mode():
        assert network.predict(image).shape == (1, 1, *expected)
        assert network(image)[0].shape == (1, 1, *peer.size)


@pytest.mark.parametrize(
    ("peer", "size"),
    [(FAST_DEPTH, (64, 96)), (FCRN, (64, 96)), (DEPTH_ANYTHING, (56, 84)), (METER, (64, 128)), (YOLO, (64, 96))],
    ids=lambda value: getattr(value, "name", None),
)
def test_openvino_gives_what_pytorch_gives(peer, size, tmp_path):
    torch.manual_seed(0)
    network = peer.build()
    export(network, size, tmp_path / "peer.xml")
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = Eager(network, "cpu").infer(frame, frame.shape[:2])[0]
    found = OpenVinoBackend(tmp_path / "peer.xml").infer(frame, frame.shape[:2])[0]
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()
