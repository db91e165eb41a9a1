"""All epochs of a training as one compiled function.

Between the steps of a Python loop TensorFlow waits for Python, which for a small tail takes
longer than the arithmetic. Here the whole loop is in the graph: shuffling, gathering a batch,
the step, the optimiser, the epoch's measurements. What differs between trainings (pictures, epochs,
batch size, learning rate, seed) is an argument, so a network is traced once.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.federated.task import Optimizer, TrainingSettings
from shared.federated.weights import Array
from shared.learning.bending import Bending
from shared.learning.loading import keras, tf
from shared.learning.local.part import Correction
from shared.learning.optimizers import OPTIMIZERS

#: Of one epoch: mean loss, accuracy, mean loss and accuracy on the validation pictures.
METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")

#: How often a running epoch asks whether to go on, in seconds, as near as its steps allow.
_LOOK_SECONDS = 0.2
#: Instead of the number of steps until the next look.
_STOP = 0
#: Pictures measured at once.
_MEASURE_BATCH = 256
#: TensorFlow's kernels want this of an array's address.
_ALIGNMENT = 64

AfterEpoch = Callable[[int, dict[str, float]], bool]

#: Asked a few times a second; training ends unless it returns True. It is told how many epochs are
#: over, with the part of the one that runs, and the mean loss and accuracy over that one's pictures
#: so far, as they were trained on.
GoesOn = Callable[[float, float, float], bool]


class TrainingLoop:
    """The compiled training of one model; only the weights outlive a call.

    Args:
        model: from features (n, …) to logits (n, classes).
        optimizer: of all its trainings.
        is_corrected: whether its trainings have a correction.
    """

    def __init__(
        self, model: keras.Model, optimizer: Optimizer = "adam", *, is_corrected: bool = False
    ) -> None:
        self.optimizer = optimizer
        self.is_corrected = is_corrected
        self._model = model
        #: What dropout draws from: no part of the weights.
        self._generators = [
            layer.seed_generator.state
            for layer in model.layers
            if isinstance(layer, keras.layers.Dropout)
        ]
        self._variables = [variable.value for variable in model.trainable_variables]
        self._steps = OPTIMIZERS[optimizer](self._variables)
        names = [variable.path for variable in model.trainable_variables]
        self._bending = Bending(names, self._variables) if is_corrected else None
        self._after_epoch: AfterEpoch = lambda _epoch, _metrics: True
        self._goes_on: GoesOn = lambda *_: True
        self._error: BaseException | None = None
        self._looked, self._pace = 0.0, 1
        features = tf.TensorSpec(model.input.shape, model.input.dtype)
        labels = tf.TensorSpec((None,), tf.int64)
        whole, real = tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.float32)
        self._trained = tf.function(
            self._train,
            input_signature=[features, labels, features, labels, whole, whole, real, whole],
            autograph=False,
        ).get_concrete_function()

    def run(
        self,
        features: npt.NDArray[Any],
        labels: npt.NDArray[np.int64],
        validation: tuple[npt.NDArray[Any], npt.NDArray[np.int64]],
        settings: TrainingSettings,
        seed: int,
        after_epoch: AfterEpoch,
        goes_on: GoesOn,
        correction: Correction | None = None,
    ) -> None:
        """Train the model from the weights it has, with an optimiser that knows nothing yet.

        Args:
            features: (n, …), n > 0; a writable array at a multiple of 64 bytes, as numpy maps
                files, is read where it lies.
            labels: int64 (n,).
            validation: the same, of pictures to measure on after each epoch; may be empty.
            settings: epochs, batch size, learning rate; their optimizer is this one.
            seed: of :func:`order` and of dropout.
            after_epoch: told each epoch's number, from 1, and METRICS (loss and accuracy
                alone without validation pictures). Training ends unless it returns True.
            goes_on: see GoesOn.
            correction: of each gradient; exactly where the loop is one with corrections.

        Raises:
            Whatever a callback raises.
        """
        if self._bending is not None and correction is not None:
            self._bending.begin(correction)
        self._after_epoch, self._goes_on, self._error = after_epoch, goes_on, None
        self._looked, self._pace = time.monotonic(), 1
        self._steps.forget()
        for state in self._generators:
            state.assign([seed, 0])
        self._trained(
            _tensor(features),
            tf.constant(labels),
            _tensor(validation[0]),
            tf.constant(validation[1]),
            tf.constant(settings.epochs),
            tf.constant(settings.batch_size),
            tf.constant(settings.learning_rate, tf.float32),
            tf.constant(seed),
        )
        error, self._error = self._error, None
        if error is not None:
            raise error

    def mean_gradient(self) -> dict[str, Array]:
        """Of all steps of the last training, by name, without its correction.

        Empty where the loop has no corrections.
        """
        return self._bending.mean() if self._bending is not None else {}

    def _train(
        self,
        features: Any,
        labels: Any,
        val_features: Any,
        val_labels: Any,
        epochs: Any,
        batch_size: Any,
        learning_rate: Any,
        seed: Any,
    ) -> Any:
        """The graph of a training: a loop over epochs around a loop over batches."""
        count = tf.shape(labels)[0]
        has_validation = tf.shape(val_labels)[0] > 0

        def epoch(number: Any, steps: Any, until_look: Any) -> Any:
            shuffled = order(count, seed, number)

            def batch(begin: Any, steps: Any, until_look: Any, sums: Any) -> Any:
                rows = shuffled[begin : begin + batch_size]
                steps += 1
                inputs, answers = tf.gather(features, rows), tf.gather(labels, rows)
                sums += self._step(inputs, answers, learning_rate, tf.cast(steps, tf.float32))
                end = begin + batch_size
                until_look = tf.cond(
                    until_look > 1,
                    lambda: until_look - 1,
                    lambda: self._look(number, tf.minimum(end, count), count, sums),
                )
                return end, steps, until_look, sums

            _, steps, until_look, sums = tf.while_loop(
                lambda begin, _steps, until_look, _: (begin < count) & (until_look > 0),
                batch,
                (0, steps, until_look, tf.zeros(2, tf.float64)),
                parallel_iterations=1,
            )

            def end_of_epoch() -> Any:
                validated = tf.cond(
                    has_validation,
                    lambda: self._measure(val_features, val_labels),
                    lambda: tf.zeros(2, tf.float64),
                )
                metrics = tf.concat([sums / tf.cast(count, tf.float64), validated], 0)
                goes_on = self._report(number, metrics, has_validation)
                return tf.where(goes_on, until_look, _STOP)

            stopped = tf.equal(until_look, _STOP)
            until_look = tf.cond(stopped, lambda: until_look, end_of_epoch)
            return number + 1, steps, until_look

        return tf.while_loop(
            lambda number, _, until_look: (number <= epochs) & (until_look > _STOP),
            epoch,
            (tf.constant(1), tf.constant(0), tf.constant(1)),
            parallel_iterations=1,
        )

    def _step(self, features: Any, labels: Any, learning_rate: Any, step: Any) -> Any:
        """One step; the sums of the losses and of the right answers before it."""
        with tf.GradientTape() as tape:
            logits = self._model(features, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self._variables)
        if self._bending is not None:
            gradients = self._bending.bend(gradients)
        self._steps.apply(gradients, learning_rate, step)
        return _sums(losses, logits, labels)

    def _measure(self, features: Any, labels: Any) -> Any:
        """Mean loss and accuracy as the model stands, batch norm in inference mode."""
        count = tf.shape(labels)[0]

        def part(begin: Any, sums: Any) -> Any:
            inputs, answers = (
                array[begin : begin + _MEASURE_BATCH] for array in (features, labels)
            )
            logits = self._model(inputs, training=False)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=answers, logits=logits)
            return begin + _MEASURE_BATCH, sums + _sums(losses, logits, answers)

        start = (0, tf.zeros(2, tf.float64))
        _, sums = tf.while_loop(lambda begin, _: begin < count, part, start, parallel_iterations=1)
        return sums / tf.cast(count, tf.float64)

    def _look(self, number: Any, done: Any, count: Any, sums: Any) -> Any:
        """Ask whether to go on: how many steps until the next look, or _STOP.

        Args:
            number, done, count, sums: of the epoch that runs: its own, its pictures so far, all
                its pictures, and what _step has told of those.
        """

        def look(number: Any, done: Any, count: Any, sums: Any) -> int:
            loss, accuracy = (sums / done).tolist()
            if not self._goes_on(float(number - 1 + done / count), loss, accuracy):
                return _STOP
            now = time.monotonic()
            faster = _LOOK_SECONDS / max(now - self._looked, 1e-6)
            self._looked = now
            self._pace = max(1, int(self._pace * min(faster, 2.0)))
            return self._pace

        arguments = [number, done, count, sums]
        guarded = self._guarded(look, np.int32)
        return tf.ensure_shape(tf.numpy_function(guarded, arguments, tf.int32), ())

    def _report(self, number: Any, metrics: Any, has_validation: Any) -> Any:
        def tell(number: Any, values: Any, has_validation: Any) -> bool:
            told = dict(zip(METRICS, values.tolist(), strict=True))
            if not has_validation:
                told = {name: told[name] for name in METRICS[:2]}
            return self._after_epoch(int(number), told)

        arguments = [number, metrics, has_validation]
        guarded = self._guarded(tell, np.bool_)
        return tf.ensure_shape(tf.numpy_function(guarded, arguments, tf.bool), ())

    def _guarded(
        self, function: Callable[..., Any], kind: Callable[[Any], Any]
    ) -> Callable[..., Any]:
        """The function, its answer of a numpy type; 0 after an exception, which run raises."""

        def call(*arguments: Any) -> Any:
            try:
                return kind(function(*arguments))
            except BaseException as error:  # noqa: BLE001 - TensorFlow would make another of it
                self._error = error
                return kind(0)

        return call


def order(count: Any, seed: Any, epoch: Any) -> Any:
    """The order in which an epoch takes ``count`` samples.

    Args:
        seed: of the training; equal ones give equal orders, on every machine.
        epoch: from 1.

    Returns:
        A tensor int32 (count,), a permutation.
    """
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed=[seed, epoch])


def _sums(losses: Any, logits: Any, labels: Any) -> Any:
    right = tf.argmax(logits, axis=1) == labels
    return tf.stack(
        [
            tf.reduce_sum(tf.cast(losses, tf.float64)),
            tf.reduce_sum(tf.cast(right, tf.float64)),
        ]
    )


def _tensor(array: npt.NDArray[Any]) -> Any:
    """The array as a tensor: the same memory where TensorFlow can use it, else a copy."""
    is_usable = array.flags.c_contiguous and array.flags.writeable and array.size > 0
    if is_usable and array.ctypes.data % _ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)
