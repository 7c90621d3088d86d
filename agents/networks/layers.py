"""Layers that Keras lacks: noisy dense layers, spectrally normalized convolutions, max-pooling to a
set size."""

import tensorflow as tf


class NoisyDense(tf.keras.layers.Dense):
    """A dense layer with factorised Gaussian noise (Fortunato et al. 2018, eq. 9 to 11).

    With p inputs, f(x) = sgn(x) sqrt(|x|) and epsilon standard normal, drawn anew in each call and
    shared by the batch,

        y = (mu_w + sigma_w * f(epsilon_p) f(epsilon_q)^T) x + mu_b + sigma_b * f(epsilon_q)

    where mu starts uniform in +-1/sqrt(p) and sigma at sigma_0 / sqrt(p) (section 3.2). Called
    without `training` it has no noise: weights are their means.
    """

    def __init__(self, units: int, sigma_0: float, **kwargs):
        super().__init__(units, **kwargs)
        self._sigma_0 = sigma_0

    def build(self, input_shape) -> None:
        bound = int(input_shape[-1]) ** -0.5
        uniform = tf.keras.initializers.RandomUniform
        self.kernel_initializer = uniform(-bound, bound)
        self.bias_initializer = uniform(-bound, bound)
        super().build(input_shape)
        sigma = tf.keras.initializers.Constant(self._sigma_0 * bound)
        self.kernel_sigma = self.add_weight("kernel_sigma", self.kernel.shape, initializer=sigma)
        self.bias_sigma = self.add_weight("bias_sigma", self.bias.shape, initializer=sigma)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return super().call(inputs)
        noise_in, noise_out = (self._noise(size) for size in self.kernel.shape)
        # The outer product of the noises is never made: it scales what goes in and what comes out.
        noise = tf.tensordot(inputs * noise_in, self.kernel_sigma, 1) + self.bias_sigma
        y = tf.tensordot(inputs, self.kernel, 1) + self.bias + noise * noise_out
        return y if self.activation is None else self.activation(y)

    def _noise(self, size: int) -> tf.Tensor:
        epsilon = tf.random.normal([size])
        return tf.cast(tf.sign(epsilon) * tf.sqrt(tf.abs(epsilon)), self.compute_dtype)


class SpectralConv2D(tf.keras.layers.Conv2D):
    """A convolution whose kernel W, as a matrix [inputs, filters], has spectral norm 1.

    Miyato et al. 2018: W / sigma(W), where u estimates W's first right singular vector by one step
    of power iteration per training call, u <- W^T W u / |W^T W u|, and sigma(W) = |W u|, whose
    gradient is theirs (eq. 12). u is saved with the weights.
    """

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self.u = self.add_weight(
            "u",
            (self.filters, 1),
            dtype=tf.float32,
            initializer="random_normal",
            trainable=False,
            experimental_autocast=False,
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            w = tf.stop_gradient(self._matrix())
            self.u.assign(tf.math.l2_normalize(tf.matmul(w, w @ self.u, transpose_a=True)))
        return super().call(inputs)

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution without its bias, as Keras' own `call` asks for it."""
        # u is of length 1 but before the first step.
        sigma = tf.norm(self._matrix() @ tf.math.l2_normalize(self.u))
        kernel = kernel / tf.cast(sigma, self.compute_dtype)
        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())

    def _matrix(self) -> tf.Tensor:
        return tf.cast(tf.reshape(self.kernel, [-1, self.filters]), tf.float32)


class AdaptiveMaxPool2D(tf.keras.layers.Layer):
    """Maxima over size x size windows that cover [B, H, W, C] evenly: [B, size, size, C].

    Window i of a side of length n reaches from floor(i n / size) to ceil((i + 1) n / size).
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self._size = size

    def build(self, input_shape) -> None:
        self._sides = input_shape[1:3]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x, size = inputs, self._size
        for axis, n in enumerate(self._sides, 1):
            windows = [range(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]
            maxima = [tf.reduce_max(tf.gather(x, window, axis=axis), axis) for window in windows]
            x = tf.stack(maxima, axis)
        return x
