"""Asks a running server an export's golden inputs, and compares the answers with the golden ones.

    python docs/deploy/check_answers.py --version_dir=exports/space_invaders/1 \\
        --address=localhost:8500 --address=http://localhost:8501

The server must serve that version. No TensorFlow is needed.
"""

from pathlib import Path

from absl import flags

from agents.errors import UserError
from launch import command

FLAGS = flags.FLAGS
flags.DEFINE_string("version_dir", None, "The exported version that is served.")
flags.DEFINE_multi_string(
    "address", ["localhost:8500"], "HOST:PORT for gRPC, http://HOST:PORT for REST."
)
flags.DEFINE_string("model", None, "The model's name on the server; default: as exported.")


def main(argv: list[str]) -> None:
    del argv
    if not FLAGS.version_dir:
        raise UserError("name an export: --version_dir=exports/space_invaders/1")

    import grpc
    import requests

    from agents.serving import golden
    from agents.serving.client import connect

    version = Path(FLAGS.version_dir).expanduser().resolve()
    for address in FLAGS.address:
        ask = connect(address, FLAGS.model or version.parent.name)
        for case in golden.cases(version):
            ((name, tensor),) = case.inputs.items()
            try:  # one row per request, as a player sends them
                answers = [ask(case.signature, name, tensor[i : i + 1]) for i in range(len(tensor))]
                keys = ("action", "q_values")
                columns = {key: [value for a in answers for value in a[key]] for key in keys}
                difference = case.check(columns)
            except (grpc.RpcError, requests.RequestException, ValueError) as e:
                raise UserError(f"{address}: {e}") from e
            print(f"{address}: {case.signature}: {len(tensor)} answers, within {difference:.1e}")


if __name__ == "__main__":
    command.run(main)
