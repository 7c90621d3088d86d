"""Metrics: what the server did goes in, Prometheus' text format comes out.

The names are TF Serving's; Prometheus' own library adds `_total` to that of a counter.
"""

import prometheus_client

_MICROSECONDS = tuple(1e3 * 2**power for power in range(14))  # 1 ms to 8 s


class Metrics:
    """Of one server."""

    def __init__(self):
        self._registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            ":tensorflow:serving:request_count",
            "Predictions by model and status code.",
            ["model_name", "status"],
            registry=self._registry,
        )
        self._latency = prometheus_client.Histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from a whole request to its answer.",
            ["model_name", "entrypoint"],
            buckets=_MICROSECONDS,
            registry=self._registry,
        )
        self._rows = prometheus_client.Histogram(
            ":tensorflow:serving:batching_session:processed_batch_size",
            "Rows of the batches that were run.",
            buckets=tuple(2**power for power in range(7)),
            registry=self._registry,
        )

    def request(self, model: str, entrypoint: str, status: str, seconds: float) -> None:
        """Counts a prediction; `model` is the name of one that is served, or empty."""
        self._requests.labels(model, status).inc()
        self._latency.labels(model, entrypoint).observe(1e6 * seconds)

    def batch(self, rows: int) -> None:
        """Counts a batch."""
        self._rows.observe(rows)

    def page(self) -> bytes:
        """What `/monitoring/prometheus/metrics` shows."""
        return prometheus_client.generate_latest(self._registry)
