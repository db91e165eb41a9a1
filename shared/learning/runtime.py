"""Running a frozen backbone, once for each picture, as fast as this machine's processors can.

TensorFlow brings a second runtime, the one it ships to telephones: LiteRT, whose XNNPACK
kernels keep one picture's intermediate results in a core's cache. One picture at a time on
each core it ran a MobileNet twice as fast as ``keras.Model.predict`` and faster than ONNX
Runtime or OpenVINO, at no package's cost (benchmarks/backbone_throughput.py measures them
side by side). And a picture's features then cannot depend on which others are in its batch.
"""

import queue
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.learning.loading import keras, tf

#: Warnings are silenced for the whole process: two threads would undo each other's silence.
_making = threading.Lock()


class BackboneRuntime:
    """A frozen backbone and the interpreters that run it; one thread at a time may call it.

    Interpreters are made when they are first needed: most starts need none, and who asks for
    one picture at a time needs one.

    Args:
        backbone: from pictures float32 (n, size, size, 3) to features (n, …).
        size: side of the pictures in pixels.
        scale, shift: a pixel goes into the backbone as pixel / scale - shift.
        threads: pictures worked on at once.
    """

    def __init__(
        self, backbone: keras.Model, size: int, scale: float, shift: float, threads: int
    ) -> None:
        def extract(pictures: Any) -> Any:
            return backbone(tf.cast(pictures, tf.float32) / scale - shift, training=False)

        self._function = tf.function(
            extract,
            input_signature=[tf.TensorSpec((1, size, size, 3), tf.uint8)],
            autograph=False,
        )
        self._feature_shape: tuple[int, ...] = tuple(backbone.output.shape[1:])
        self._threads = threads
        self._made = 0
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features float32 (n, …) of pictures uint8 (n, size, size, 3)."""
        features = np.empty((len(pictures), *self._feature_shape), np.float32)
        for _ in range(self._made, min(self._threads, len(pictures))):
            self._idle.put(self._interpreter())
            self._made += 1

        def work(index: int) -> None:
            interpreter = self._idle.get()
            try:
                interpreter.set_tensor(self._input, pictures[index : index + 1])
                interpreter.invoke()
                features[index] = interpreter.get_tensor(self._output)[0]
            finally:
                self._idle.put(interpreter)

        if len(pictures) == 1:
            work(0)
        else:
            for _ in self._pool.map(work, range(len(pictures))):
                pass
        return features

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, "backbone")

    @cached_property
    def _program(self) -> bytes:
        return convert(self._function)

    def _interpreter(self) -> Any:
        interpreter = make_interpreter(self._program)
        self._input: int = interpreter.get_input_details()[0]["index"]
        self._output: int = interpreter.get_output_details()[0]["index"]
        return interpreter


def convert(function: Any) -> bytes:
    """A tf.function of one signature as a LiteRT program, float32; half a second.

    Variables become constants, as they are now.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], function
    )
    program: bytes = converter.convert()
    return program


def make_interpreter(program: bytes) -> Any:
    """What runs a LiteRT program, in the thread that calls it."""
    with _making, warnings.catch_warnings():
        # It says that this class is going to a package of its own, of 59 MB. While
        # TensorFlow has it, that is a package less; its interface is the same there.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(model_content=program, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
