"""Metadata: what clients ask of a server beside predictions; the same by gRPC and by REST."""

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from agents.serving.models import Models
from agents.serving.status import invalid

SIGNATURES = "signature_def"


def metadata(
    models: Models, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version.

    Raises:
      RequestError: no such version, or another field of metadata.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURES:
            raise invalid(f"Metadata field {field} is not supported")
    servable = models.find(request.model_spec)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = servable.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    response.metadata[SIGNATURES].Pack(signatures)
    return response


def model_status(
    models: Models, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of a model's versions.

    Raises:
      RequestError: no such model or version.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return get_model_status_pb2.GetModelStatusResponse(
        model_version_status=models.statuses(request.model_spec)
    )
