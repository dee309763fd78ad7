"""An ONNX graph in the plain words that OpenCV 4.5 to 5 reads, written without the onnx package, which apt may lack.

OpenCV knows no float16 initialisers, no free axes, no uint8 input, no Clip whose limits are inputs (before 4.7) and no
mean whose axes are (opset 18). The protocol buffer is taken apart and put together again, field by field; the numbers
are those of onnx.proto.
"""

from collections.abc import Iterable, Mapping

import numpy as np

Field = tuple[int, int, bytes]  # its number, its wire type, and its content; of a varint, its own bytes

VARINT, BYTES, FLOAT32 = 0, 2, 5
_FIXED = {1: 8, FLOAT32: 4}  # bytes by wire type

GRAPH = 7  # of a ModelProto
NODE, INITIALIZER, INPUT = 1, 5, 11  # of a GraphProto
NODE_INPUT, NODE_OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5  # of a NodeProto
DATA_TYPE, TENSOR_NAME, RAW_DATA = 2, 8, 9  # of a TensorProto
FLOAT, FLOAT16 = 1, 10  # of its DataType
HEIGHT_AND_WIDTH = np.array([2, 3]).tobytes()  # axes of N, C, H, W


def plain(onnx: bytes, size: tuple[int, int]) -> bytes:
    """The graph of `mono_depth_ros.export.to_onnx` for one (height, width); its image is float32, RGB in 0 to 255.

    Raises ValueError where the bytes are no such graph.
    """
    return _join((n, w, _plain_graph(c, size) if n == GRAPH else c) for n, w, c in _fields(onnx))


def _plain_graph(graph: bytes, size: tuple[int, int]) -> bytes:
    fields = _fields(graph)
    tensors = {_text(tensor, TENSOR_NAME): tensor for n, _, c in fields if n == INITIALIZER for tensor in [_fields(c)]}
    nodes: list[bytes] = []
    for node in (_fields(c) for n, _, c in fields if n == NODE):
        first = _text(node, NODE_INPUT)
        if _text(node, OP_TYPE) == "Cast" and _content(tensors.get(first, []), DATA_TYPE) == _varint(FLOAT16):
            tensors[_text(node, NODE_OUTPUT)] = _widened(tensors.pop(first), _text(node, NODE_OUTPUT))
        else:
            nodes.append(_join(_plain_node(node, tensors)))
    rest = [field for field in fields if field[0] not in (NODE, INITIALIZER, INPUT)]
    return _join(
        [(NODE, BYTES, node) for node in nodes]
        + [(INITIALIZER, BYTES, _join(tensor)) for tensor in tensors.values()]
        + [(INPUT, BYTES, _image(size))]
        + rest
    )


def _plain_node(node: list[Field], tensors: Mapping[str, list[Field]]) -> list[Field]:
    """The same node, or what older versions call it."""
    kind = _text(node, OP_TYPE)
    first, *others = [c for n, _, c in node if n == NODE_INPUT] or [b""]
    values = [_content(tensors[name.decode()], RAW_DATA) for name in others if name.decode() in tensors]
    bare = [(n, w, c) for n, w, c in node if n not in (NODE_INPUT, ATTRIBUTE, OP_TYPE)] + [(NODE_INPUT, BYTES, first)]
    if kind == "ReduceMean" and values == [HEIGHT_AND_WIDTH]:
        return [*bare, (OP_TYPE, BYTES, b"GlobalAveragePool")]
    if kind == "Clip" and len(values) == 2:
        named = zip((b"min", b"max"), values, strict=True)
        return [*bare, (OP_TYPE, BYTES, b"Clip"), *((ATTRIBUTE, BYTES, _float(name, value)) for name, value in named)]
    return node


def _float(name: bytes, value: bytes) -> bytes:
    """An AttributeProto."""
    return _join([(1, BYTES, name), (2, FLOAT32, value), (20, VARINT, _varint(FLOAT))])


def _widened(tensor: list[Field], name: str) -> list[Field]:
    """A float16 tensor as float32, with another name."""
    wide = np.frombuffer(_content(tensor, RAW_DATA), np.float16).astype(np.float32).tobytes()
    changed = {DATA_TYPE: _varint(FLOAT), TENSOR_NAME: name.encode(), RAW_DATA: wide}
    return [(n, w, changed.get(n, c)) for n, w, c in tensor]


def _image(size: tuple[int, int]) -> bytes:
    """The ValueInfoProto of the input, with fixed axes."""
    axes = [(1, BYTES, _join([(1, VARINT, _varint(side))])) for side in (1, *size, 3)]
    tensor = _join([(1, VARINT, _varint(FLOAT)), (2, BYTES, _join(axes))])
    return _join([(1, BYTES, b"image"), (2, BYTES, _join([(1, BYTES, tensor)]))])


def _text(message: list[Field], number: int) -> str:
    """The first field of that number; empty without one."""
    return _content(message, number).decode()


def _content(message: list[Field], number: int) -> bytes:
    return next((c for n, _, c in message if n == number), b"")


def _fields(message: bytes) -> list[Field]:
    """A message taken apart; see protobuf.dev/programming-guides/encoding."""
    fields: list[Field] = []
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, wire = key >> 3, key & 7
        start = position
        if wire == VARINT:
            _, position = _read_varint(message, position)
        elif wire == BYTES:
            length, start = _read_varint(message, position)
            position = start + length
        elif wire in _FIXED:
            position += _FIXED[wire]
        else:
            raise ValueError(f"no ONNX graph: wire type {wire} at byte {start}")
        if position > len(message):
            raise ValueError(f"no whole ONNX graph: field {number} ends at byte {position} of {len(message)}")
        fields.append((number, wire, message[start:position]))
    return fields


def _join(fields: Iterable[Field]) -> bytes:
    """A message put together."""
    parts: list[bytes] = []
    for number, wire, content in fields:
        parts += [_varint(number << 3 | wire), _varint(len(content)) if wire == BYTES else b"", content]
    return b"".join(parts)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while position < len(data):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        shift, position = shift + 7, position + 1
        if byte < 0x80:
            return value, position
    raise ValueError("no whole ONNX graph: it ends within a number")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
