"""How a training makes a step of a gradient, in the graph; each training starts one anew."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared.federated.task import Optimizer
from shared.learning.loading import tf

#: Adam's decay rates and epsilon (Kingma & Ba 2015, arXiv:1412.6980), as Keras sets them.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7


class Steps(Protocol):
    """An optimiser of variables, which keeps what it knows from one step to the next."""

    def __init__(self, variables: Sequence[Any]) -> None:
        """Take the variables that are to be optimised."""

    def forget(self) -> None:
        """Know nothing any more: another training begins."""

    def apply(self, gradients: Sequence[Any], learning_rate: Any, step: Any) -> None:
        """Change the variables; part of a graph.

        Args:
            gradients: one for each variable.
            learning_rate: float32 ().
            step: number of the step within the training, from 1; float32 ().
        """


class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980)."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = variables
        self._moments = [
            (tf.Variable(tf.zeros_like(value)), tf.Variable(tf.zeros_like(value)))
            for value in variables
        ]

    def forget(self) -> None:
        """See :class:`Steps`."""
        for pair in self._moments:
            for moment in pair:
                moment.assign(tf.zeros_like(moment))

    def apply(self, gradients: Sequence[Any], learning_rate: Any, step: Any) -> None:
        """See :class:`Steps`."""
        power_1, power_2 = tf.pow(_BETA_1, step), tf.pow(_BETA_2, step)
        for variable, (first, second), gradient in zip(
            self._variables, self._moments, gradients, strict=True
        ):
            # One kernel that reads and writes each array once, where Keras's needs a dozen.
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=power_1,
                beta2_power=power_2,
                lr=learning_rate,
                beta1=_BETA_1,
                beta2=_BETA_2,
                epsilon=_EPSILON,
                grad=gradient,
            )


class GradientDescent:
    """Stochastic gradient descent without momentum, as in McMahan et al. 2017."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = variables

    def forget(self) -> None:
        """See :class:`Steps`: there is nothing to forget."""

    def apply(self, gradients: Sequence[Any], learning_rate: Any, step: Any) -> None:
        """See :class:`Steps`."""
        for variable, gradient in zip(self._variables, gradients, strict=True):
            tf.raw_ops.ResourceApplyGradientDescent(
                var=variable.handle, alpha=learning_rate, delta=gradient
            )


OPTIMIZERS: Mapping[Optimizer, type[Steps]] = {"adam": Adam, "sgd": GradientDescent}
