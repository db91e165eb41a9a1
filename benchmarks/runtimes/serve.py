"""Runs a MobileNet on ONNX Runtime and on OpenVINO; started by benchmarks/backbone_throughput.py.

    .venv-runtimes/bin/python benchmarks/runtimes/serve.py FOLDER THREADS

FOLDER holds pictures.npy, uint8 (n, s, s, 3), and layers.npz, the convolutions. For each line on
standard input, "onnxruntime" or "openvino", all pictures are run once: the answer is a line with
the seconds that took, and NAME.npy, the features.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import helper, numpy_helper

_UINT8, _FLOAT32 = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT


def onnx_program(layers: dict[str, Any], size: int) -> bytes:
    """The network as an ONNX file's bytes: one picture, uint8 (1, s, s, 3), in.

    Args:
        layers: kernel<i> as Keras has it, bias<i>, stride<i>, depthwise<i>, in order.
    """
    nodes, constants = [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    current = node("Cast", ["pixels"], "numbers", to=_FLOAT32)
    current = node("Div", [current, constant("scale", np.float32(127.5))], "scaled")
    current = node("Sub", [current, constant("shift", np.float32(1))], "shifted")
    current = node("Transpose", [current], "planes", perm=[0, 3, 1, 2])
    lowest, highest = constant("zero", np.float32(0)), constant("six", np.float32(6))
    for index in range(len(layers) // 4):
        kernel, stride = layers[f"kernel{index}"], int(layers[f"stride{index}"])
        is_depthwise = bool(layers[f"depthwise{index}"])
        group = kernel.shape[2] if is_depthwise else 1
        turned = kernel.transpose((2, 3, 0, 1) if is_depthwise else (3, 2, 0, 1))
        border = 0 if kernel.shape[0] == 1 else 1
        inputs = [
            current,
            constant(f"kernel{index}", np.ascontiguousarray(turned)),
            constant(f"bias{index}", layers[f"bias{index}"]),
        ]
        # With stride 2 Keras pads on the right and at the bottom alone.
        pads = [0 if stride == 2 else border] * 2 + [border] * 2
        strides = [stride, stride]
        current = node("Conv", inputs, f"sum{index}", strides=strides, pads=pads, group=group)
        current = node("Clip", [current, lowest, highest], f"layer{index}")
    node("Flatten", [node("GlobalAveragePool", [current], "pooled")], "features")
    width = layers[f"bias{len(layers) // 4 - 1}"].shape[0]
    graph = helper.make_graph(
        nodes,
        "mobilenet",
        [helper.make_tensor_value_info("pixels", _UINT8, [1, size, size, 3])],
        [helper.make_tensor_value_info("features", _FLOAT32, [1, width])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    content: bytes = model.SerializeToString()
    return content


def with_onnxruntime(program: bytes, threads: int) -> Callable[[Any], Any]:
    """One picture at a time on each of ``threads`` threads: the quickest of what was tried."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(program, options, providers=["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(threads)

    def run(pictures: Any) -> Any:
        def one(index: int) -> Any:
            return session.run(None, {"pixels": pictures[index : index + 1]})[0][0]

        return np.stack(list(pool.map(one, range(len(pictures)))))

    return run


def with_openvino(program: bytes, threads: int) -> Callable[[Any], Any]:
    """One picture at a time in each of ``threads`` streams, in float32."""
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(program), "CPU", settings)
    width = compiled.output(0).shape[1]

    def run(pictures: Any) -> Any:
        features = np.empty((len(pictures), width), np.float32)

        def keep(request: Any, index: int) -> None:
            features[index] = request.get_output_tensor(0).data[0]

        requests = openvino.AsyncInferQueue(compiled, threads)
        requests.set_callback(keep)
        for index in range(len(pictures)):
            requests.start_async({0: pictures[index : index + 1]}, index)
        requests.wait_all()
        return features

    return run


def main() -> None:
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    pictures = np.load(folder / "pictures.npy")
    program = onnx_program(dict(np.load(folder / "layers.npz")), pictures.shape[1])
    runtimes = {
        "onnxruntime": with_onnxruntime(program, threads),
        "openvino": with_openvino(program, threads),
    }
    versions = {
        "onnxruntime": onnxruntime.__version__,
        "openvino": openvino.__version__.partition("-")[0],
    }
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        name = line.strip()
        started = time.perf_counter()
        features = runtimes[name](pictures)
        seconds = time.perf_counter() - started
        np.save(folder / f"{name}.npy", features)
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
