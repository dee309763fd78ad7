"""A backend that fails in mid-stream, in the real node: what goes on, and what is said.

The card that runs out of memory is a stand-in: it computes on the CPU, calls itself a GPU, and then fails as one does.
"""

from sensor_msgs.msg import Image

from test.ros.harness import ERROR, DepthNode, accepted, make_image, make_info, stamp_of, wait_until

FAILING = """
from mono_depth_ros.backends import BackendError
from mono_depth_ros.ros.estimator import NodeEstimator

class StandIn:
    name, device, precision, calls = "torch", "{device}", "fp16", 0
    def __init__(self, backend):
        self.backend = backend
    def infer(self, rgb, size):
        self.calls += 1
        if self.calls == 3:
            raise {error}
        return self.backend.infer(rgb, size)

load = NodeEstimator.__init__
def load_with_stand_in(self, *args):
    load(self, *args)
    self._estimator.backend = StandIn(self._estimator.backend)
NodeEstimator.__init__ = load_with_stand_in
"""


def test_a_checkpoint_is_chosen_by_its_name(peer):
    with DepthNode(checkpoint="accurate") as node:
        node.expect_log("checkpoint mono_depth_lite2_accurate.safetensors")
        node.expect_active()
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        accepted(peer, make_image(peer.stamp()), make_info())
    with DepthNode(checkpoint="acurate") as node:
        node.expect_log("acurate: no such checkpoint; expected a .safetensors file, or one that ships: fast, accurate")


def test_a_gpu_without_memory_is_left_for_the_cpu_without_a_frame_lost(peer):
    fault = FAILING.format(device="cuda", error='BackendError("torch on cuda in fp16 failed: CUDA out of memory")')
    with DepthNode(fault=fault, device="cpu") as node:
        node.expect_active()
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        sent = [accepted(peer, make_image(peer.stamp()), make_info()) for _ in range(5)]
        peer.expect_status("backend", ERROR, "CUDA out of memory", "running on the CPU from here on")
        peer.expect_counts(published=len(sent), failed=0)
        assert peer.value("backend", "device") == "cpu" and peer.value("backend", "backend") == "openvino"
        assert "running on the CPU from here on" in node.log()


def test_a_backend_that_throws_costs_one_frame_and_says_which(peer):
    with DepthNode(fault=FAILING.format(device="cpu", error='RuntimeError("bad kernel")'), device="cpu") as node:
        node.expect_active()
        depths = peer.watch(Image, "depth")
        peer.connect()
        stamps = []
        for number in range(1, 6):
            stamps.append(peer.send(make_image(peer.stamp()), make_info()))
            ended = number
            wait_until(lambda ended=ended: sum_of_ends(peer) >= ended, node.log)
        peer.expect_status("backend", ERROR, "frame failed, no depth for it: RuntimeError: bad kernel")
        wait_until(lambda: len(depths) == 4, node.log)
        peer.expect_counts(published=4, failed=1)
        assert [stamp_of(depth) for depth in depths] == [stamp for i, stamp in enumerate(stamps) if i != 2]


def sum_of_ends(peer) -> int:
    counts = peer.counts()
    return sum(counts.get(end, 0) for end in ("published", "dropped", "rejected", "failed"))
