"""A servable: the directory of an exported version goes in, requests are answered.

It is loaded and run as TF Serving does it: a session per version, the signatures' tensors by name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import prediction_log_pb2

from agents.serving.batching import Batcher, Tensors
from agents.serving.status import RequestError
from agents.serving.tensors import check_inputs, from_proto

DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
_WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")


class Servable:
    """A version in memory, until nothing refers to it."""

    def __init__(self, directory: Path, version: int, on_batch: Callable[[int], None]):
        """Loads it and sends its warm-up requests.

        Args:
          directory: of the version.
          version: its number.
          on_batch: told how many rows each batch has.

        Raises:
          RequestError: a warm-up request fails.
          OSError, tf.errors.OpError: it cannot be loaded.
        """
        self.version = version
        with tf.Graph().as_default():
            # A GPU is the training's.
            session = tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(device_count={"GPU": 0}))
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(directory))
        self.signatures: Mapping[str, meta_graph_pb2.SignatureDef] = {
            name: signature
            for name, signature in meta_graph.signature_def.items()
            if signature.method_name  # "__saved_model_init_op" has none
        }
        run = {name: _callable(session, it) for name, it in self.signatures.items()}
        self._batcher = Batcher(lambda signature, inputs: run[signature](inputs), on_batch)
        if (directory / _WARM_UP).exists():
            for record in tf.data.TFRecordDataset(str(directory / _WARM_UP)):
                log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
                request = log.predict_log.request
                name = request.model_spec.signature_name
                inputs = {key: from_proto(key, value) for key, value in request.inputs.items()}
                check_inputs(self.signature(name), inputs)
                run[name](inputs)

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """The signature of this name; an empty one means `serving_default`.

        Raises:
          RequestError: there is none.
        """
        name = name or DEFAULT
        if name not in self.signatures:
            raise RequestError(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        return self.signatures[name]

    async def predict(self, signature: str, inputs: Tensors) -> Tensors:
        """The outputs, by their names; with concurrent requests in one batch.

        Raises:
          RequestError: the inputs are not the signature's, or cannot be computed.
        """
        check_inputs(self.signature(signature), inputs)
        return await self._batcher.run(signature or DEFAULT, inputs)


def _callable(
    session: tf.compat.v1.Session, signature: meta_graph_pb2.SignatureDef
) -> Callable[[Tensors], Tensors]:
    inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
    call = session.make_callable(
        [signature.outputs[key].name for key in outputs],
        [signature.inputs[key].name for key in inputs],
    )

    def run(tensors: Tensors) -> Tensors:
        try:
            values = call(*(tensors[key] for key in inputs))
        except tf.errors.OpError as e:
            code = next(code for code in grpc.StatusCode if code.value[0] == e.error_code)
            message = e.message.removeprefix("Graph execution error:").strip()
            raise RequestError(code, message) from e
        return dict(zip(outputs, values, strict=True))

    return run
