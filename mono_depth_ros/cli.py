"""`mono-depth`: predict on pictures, look at checkpoint, machine and ROS graph, export, quantise, benchmark."""

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import machine, select
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.io import jpeg, parse_source
from mono_depth_ros.predict import OUTPUTS, Predictor, read_anchors

# The extra that brings a module.
EXTRAS = {
    "onnx": "export", "onnx_ir": "export", "onnxruntime": "onnxruntime", "onnxscript": "export", "rclpy": "ros",
    "rosbags": "demo", "timm": "torch", "torch": "torch", "torchvision": "torch",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 1 for an error, whose message goes to stderr, 130 for Ctrl-C."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return options.run(options) or 0
    except (MonoDepthError, ValueError, OSError) as error:
        print(f"mono-depth {options.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        cure = f"pip install 'mono_depth_ros[{extra}]'" if extra else "it is not among what mono_depth_ros installs"
        print(f"mono-depth {options.command}: {error}; {cure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Commands and their options."""
    top = argparse.ArgumentParser(prog="mono-depth", description="Metric depth from one camera.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    checkpoint = argparse.ArgumentParser(add_help=False)
    checkpoint.add_argument("--checkpoint", type=Path, help="fast (the default), accurate, or a .safetensors file")
    backend = argparse.ArgumentParser(add_help=False)
    backend.add_argument("--backend", choices=select.BACKENDS, default="auto")
    backend.add_argument("--device", choices=select.DEVICES, default="auto")
    backend.add_argument("--precision", choices=select.PRECISIONS, default="auto")
    backend.add_argument("--threads", type=int, default=0, help="of the CPU (default: the backend's choice)")
    size = argparse.ArgumentParser(add_help=False)
    size.add_argument(
        "--input-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="pixels the network gets (default: the checkpoint's)",
    )

    def add(name: str, run, text: str, parents: Sequence[argparse.ArgumentParser]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=parents)
        command.set_defaults(run=run)
        return command

    predict = add("predict", run_predict, "write the depth of pictures", (checkpoint, backend, size))
    predict.add_argument("source", help="an image, a folder of them, a video, a webcam's number, or a rosbag2")
    predict.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    predict.add_argument(
        "--camera", type=Path, help="the lens (camera_calibration's YAML; default: camera.yaml beside)"
    )
    predict.add_argument(
        "--anchors", type=Path, help="depths that are known: CSV with u, v (pixels), metres, and perhaps sigma, frame"
    )
    predict.add_argument("--frames", type=int, help="stop after so many")
    predict.add_argument(
        "--write", nargs="+", choices=OUTPUTS, default=tuple(OUTPUTS), help="what to write (default: all)"
    )

    play = add("play", run_play, "copy a rosbag2 and add the depth of every image", (checkpoint, backend, size))
    play.add_argument("source", type=Path, help="the bag: with images and their camera_info")
    play.add_argument("target", type=Path, help="the bag to write")
    play.add_argument("--outputs", nargs="+", help="topics to add (default: depth depth/camera_info depth/points scan)")
    play.add_argument("--namespace", default="", help="of the topics that are added")
    play.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter of the node (repeatable)"
    )

    add("info", run_info, "the checkpoint, this machine, and the backend taken here", (checkpoint, backend))

    export = add(
        "export", run_export, "write the network for other backends, checked against PyTorch", (checkpoint, size)
    )
    export.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    export.add_argument("--format", choices=("onnx", "openvino"), default="onnx")

    seal = add("seal", run_seal, "make a checkpoint of any ONNX depth network", ())
    seal.add_argument("network", type=Path, help="its ONNX file: (N, 3, H, W) to (N, 1, h, w)")
    seal.add_argument("-o", "--output", type=Path, required=True, help=".safetensors file to write")
    seal.add_argument("--output-kind", choices=checkpoints.OUTPUT_KINDS, required=True, help="what the network gives")
    seal.add_argument(
        "--input-size", type=int, nargs=2, metavar=("H", "W"), required=True, help="pixels it was made for"
    )
    seal.add_argument("--multiple", type=int, default=0, help="both sides' (default: it takes its input size alone)")
    seal.add_argument(
        "--mean", type=float, nargs=3, default=checkpoints.IMAGENET_MEAN, help="of R, G, B in 0-255 (ImageNet's)"
    )
    seal.add_argument(
        "--std", type=float, nargs=3, default=checkpoints.IMAGENET_STD, help="of R, G, B in 0-255 (ImageNet's)"
    )
    seal.add_argument("--channel-order", choices=("rgb", "bgr"), default="rgb", help="of its input (default: rgb)")
    seal.add_argument("--focal-length", type=float, help="pixels at that size that it is metric for (default: any)")
    seal.add_argument("--max-depth", type=float, required=True, help="metres up to which it can tell")
    seal.add_argument("--output-name", help="of its output (default: the first)")
    seal.add_argument("--licence", required=True, help="of the weights")

    quantize = add("quantize", run_quantize, "add an int8 form, judged on frames with a limit", (checkpoint,))
    quantize.add_argument("source", help="200 frames or more: a folder (with depth/ where there is any) or a video")
    quantize.add_argument("-o", "--output", type=Path, required=True, help=".safetensors file to write")
    quantize.add_argument("--frames", type=int, default=200, help="use so many of them, evenly spread")

    benchmark = add("benchmark", run_benchmark, "time each backend here at several input sizes", (checkpoint,))
    benchmark.add_argument("--seconds", type=float, default=1.0, help="for each of them at each size (default: 1)")

    doctor = add("doctor", run_doctor, "look at the live ROS graph: what is wrong, and what mends it", ())
    doctor.add_argument("--node", default="depth_node", help="its name (default: depth_node)")
    doctor.add_argument("--seconds", type=float, default=4.0, help="how long to look (default: 4)")
    return top


def run_predict(options: argparse.Namespace) -> int:
    """Write depth (16-bit PNG in millimetres, 0 is unknown), a preview beside the picture, and a cloud (PLY).

    A frame that cannot be done is named and costs only itself; the exit code is 1 then.
    """
    if options.frames is not None and options.frames < 1:
        raise ValueError(f"--frames: found {options.frames}, expected 1 or more")
    source = parse_source(options.source, mixed_sizes=True)
    camera = CameraModel.from_yaml(options.camera) if options.camera else None if source.remark else source.camera
    anchors = read_anchors(options.anchors) if options.anchors else {}
    options.output.mkdir(parents=True, exist_ok=True)
    estimator = load_estimator(options)
    report = partial(tqdm.write, file=sys.stderr)
    predictor = Predictor(estimator, options.output, options.write, camera, anchors, report)
    code = 0
    try:
        predictor.run(source, options.frames)
    except KeyboardInterrupt:
        code = 0 if source.is_live else 130  # it is how one ends a webcam
    finally:
        print(f"{predictor.done} frames of {options.source} in {options.output}, by {estimator.choice}")
        if source.remark and not options.camera:
            print(source.remark)
        if predictor.faults:
            print(f"mono-depth predict: {len(predictor.faults)} not done, named above", file=sys.stderr)
    return 1 if predictor.faults else code


def run_play(options: argparse.Namespace) -> int:
    """Run every image of a bag through the node's pipeline. The exit code is 1 where an output lacks one."""
    from mono_depth_ros.ros.parameters import Settings
    from mono_depth_ros.ros.play import DEFAULT_OUTPUTS, TYPES, Played, Player

    wanted = options.outputs or DEFAULT_OUTPUTS
    if strange := sorted(set(wanted) - set(TYPES)):
        raise ValueError(f"--outputs: found {', '.join(strange)}, expected some of {', '.join(TYPES)}")
    names = ("backend", "device", "precision", "threads")
    given: dict[str, object] = {name: getattr(options, name) for name in names}
    given |= {"checkpoint": str(options.checkpoint or ""), "input_size": options.input_size or (0, 0)}
    settings = Settings().changed(given | dict(map(_parameter, options.param)))
    player = Player(options.source, settings, partial(tqdm.write, file=sys.stderr))
    played = Played()
    try:
        player.play(options.target, wanted, options.namespace, played)
    finally:
        print(f"{played.images} images of {player.image}, by {player.description['backend']}; in {options.target}:")
        for output in wanted:
            print(f"  {output}: {played.written[output]}")
        for reason, number in played.faults.items():
            print(f"mono-depth play: {number} images gave nothing: {reason}", file=sys.stderr)
    return int(any(played.written[output] < played.images for output in wanted))


def _parameter(text: str) -> tuple[str, object]:
    """Name and value of NAME:=VALUE, as on ROS's command line."""
    from mono_depth_ros.ros.parameters import Settings

    name, separator, value = text.partition(":=")
    default = getattr(Settings(), name, None)
    if not separator or default is None:
        raise ValueError(f"--param: found {text!r}, expected NAME:=VALUE with the name of one of the node's parameters")
    parsed = yaml.safe_load(value)
    if isinstance(default, float) and isinstance(parsed, int) and not isinstance(parsed, bool):
        parsed = float(parsed)
    if not isinstance(parsed, type(default)) and not isinstance(default, tuple):
        raise ValueError(f"--param {name}: found {value!r}, expected {type(default).__name__}")
    return name, parsed


def run_info(options: argparse.Namespace) -> None:
    """Print the checkpoint's metadata, the machine's, and each backend that would run here."""
    checkpoint = checkpoints.load(options.checkpoint)
    info = checkpoint.info
    print(f"checkpoint     {checkpoint.path}")
    rows = {
        "sha256": checkpoint.sha256,
        "architecture": ", ".join(f"{k}={v}" for k, v in info.architecture.items()),
        "input size": "{}x{} (height x width)".format(*info.input_size),
        "output": info.output_kind,
        "focal length": f"{info.focal_length:g} px at that size" if info.focal_length else "any",
        "range": f"to {info.max_depth:g} m with that lens",
        "metrics": ", ".join(f"{k}={v:.4g}" for k, v in info.metrics.items()),
        "data": ", ".join(info.data),
        "licence": info.licence,
        "forms": "fp32, int8" if info.int8_sha256 else "fp32",
    }
    here = machine.detect()
    rows["machine"] = f"{here.cpu}, {here.cores} cores, {here.memory / 2**30:.0f} GiB, GPU: {here.gpu or 'none'}"
    rows["backends"] = ", ".join(here.versions)
    rows["JPEG"] = jpeg.decoder()
    request = (options.backend, options.device, options.precision)
    for name, value in rows.items():
        print(f"{name:15}{value or '-'}")
    _, taken = select.start(checkpoint, info.input_size, *request, options.threads, here)
    print(f"{'taken':15}{taken}")
    for choice in select.candidates(here, bool(info.int8_sha256), *request):
        if (choice.backend, choice.device) != (taken.backend, taken.device):
            print(f"{'else':15}{choice}")


def run_export(options: argparse.Namespace) -> None:
    """Write an ONNX graph, or an OpenVINO IR, and say how far it is from PyTorch."""
    from mono_depth_ros import export
    from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
    from mono_depth_ros.backends.torch_backend import TorchBackend, restore

    checkpoint = checkpoints.load(options.checkpoint)
    if options.output.resolve() == checkpoint.path.resolve().parent:
        raise ValueError(f"{options.output}: found the checkpoint's own folder, whose files are sealed; name another")
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / f"{checkpoint.path.stem}{'.onnx' if options.format == 'onnx' else '.xml'}"
    if options.format == "onnx":
        file.write_bytes(export.to_onnx(restore(checkpoint), checkpoint.info))
    else:
        export.to_openvino(checkpoint.onnx(), file, options.input_size)
    size = tuple(options.input_size or checkpoint.info.input_size)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    reference = TorchBackend(restore(checkpoint), checkpoint.info)
    difference = export.require_parity(reference, OpenVinoBackend(file), [noise])
    print(f"{file}: at most {1e3 * difference.worst:.2g} mm from PyTorch")


def run_seal(options: argparse.Namespace) -> None:
    """Make a checkpoint of an ONNX graph."""
    from mono_depth_ros.adopt import adopt

    info = checkpoints.CheckpointInfo(
        architecture={},
        input_size=tuple(options.input_size),
        focal_length=options.focal_length,
        max_depth=options.max_depth,
        mean=tuple(options.mean),
        std=tuple(options.std),
        output_kind=options.output_kind,
        multiple=options.multiple,
        licence=options.licence,
    )
    sealed = adopt(options.network, info, options.output, options.channel_order, options.output_name)
    print(f"sealed {sealed.path}, SHA-256 {sealed.sha256}")


def run_quantize(options: argparse.Namespace) -> None:
    """Add an int8 form to a checkpoint, if it is accurate enough on frames that it was not calibrated on."""
    from mono_depth_ros.quantize import CalibrationFrame, quantize

    checkpoint = checkpoints.load(options.checkpoint)
    source = parse_source(options.source)
    length = options.frames if source.length is None else min(options.frames, source.length)
    last = length if source.length is None else source.length
    picked = set(np.linspace(0, last - 1, length).round().astype(int).tolist())
    frames = []
    for index, frame in enumerate(tqdm(islice(source.frames(), last), total=last, unit=" frames")):
        if index in picked:
            truth, size = source.truth(index), checkpoint.info.input_size
            frames.append(CalibrationFrame.shrunk(frame.rgb, source.camera, truth, size))
    saved, judgement = quantize(checkpoint, frames, options.output)
    print(f"{saved.path}: {judgement}")


def run_benchmark(options: argparse.Namespace) -> None:
    """Print how long a frame takes on each backend at each size."""
    from mono_depth_ros import benchmark

    print(benchmark.measure(checkpoints.load(options.checkpoint), machine.detect(), options.seconds))


def run_doctor(options: argparse.Namespace) -> None:
    """Print what is wrong and what mends it; exit code 1 for anything that is wrong, and not for mere hints."""
    from mono_depth_ros.ros import observe  # rclpy, which no other command needs

    findings = observe.examine(options.seconds, options.node)
    print("\n".join(map(str, findings)) or f"nothing is wrong around {options.node}")
    if any(finding.is_error for finding in findings):
        raise SystemExit(1)


def load_estimator(options: argparse.Namespace) -> DepthEstimator:
    """The estimator that the options ask for."""
    size = tuple(options.input_size) if options.input_size else None
    return DepthEstimator.load(
        options.checkpoint, options.backend, options.device, options.precision, size, options.threads
    )


if __name__ == "__main__":
    sys.exit(main())
