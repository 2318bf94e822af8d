"""What an operator watches, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.params import RequestOutput

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """`stats` gives the engine's counters when a scrape asks."""

    def __init__(self, stats: Callable[[], dict[str, Any]], open_requests: Callable[[], int]):
        self.registry = CollectorRegistry()
        self.ttft = Histogram("engine_ttft_seconds", "Arrival to first token", buckets=SECONDS, registry=self.registry)
        self.tpot = Histogram("engine_tpot_seconds", "Mean time per output token after the first", buckets=SECONDS, registry=self.registry)
        self.latency = Histogram("engine_latency_seconds", "Arrival to last token", buckets=SECONDS, registry=self.registry)
        self.requests = Counter("engine_requests", "Requests that ended", ["finish_reason"], registry=self.registry)
        self.refused = Counter("engine_refused", "Requests that were not taken", ["status"], registry=self.registry)
        self.prompt = Counter("engine_prompt_tokens", "Prompt tokens of ended requests", registry=self.registry)
        self.cached = Counter("engine_cached_prompt_tokens", "Of those, found in the prefix cache", registry=self.registry)
        self.made = Counter("engine_generation_tokens", "Tokens generated", registry=self.registry)
        self.registry.register(_Gauges(stats, open_requests))

    def observe(self, output: RequestOutput) -> None:
        """Count an ended request. Called on the engine's thread."""
        tokens = sum(len(one.token_ids) for one in output.outputs)
        self.requests.labels(output.outputs[0].finish_reason or "error" if output.outputs else "error").inc()
        self.prompt.inc(len(output.prompt_token_ids))
        self.cached.inc(output.cached_tokens)
        self.made.inc(tokens)
        for name, histogram in (("ttft", self.ttft), ("latency", self.latency)):
            if name in output.metrics:
                histogram.observe(output.metrics[name])
        if "tpot" in output.metrics and tokens > 1:
            self.tpot.observe(output.metrics["tpot"])

    def render(self) -> bytes:
        return generate_latest(self.registry)


class _Gauges(Collector):
    def __init__(self, stats: Callable[[], dict[str, Any]], open_requests: Callable[[], int]):
        self.stats, self.open_requests = stats, open_requests

    def collect(self) -> Iterator[Metric]:
        stats = self.stats()
        cache, speculation = stats["cache"], stats["speculation"]
        values = {
            "engine_open_requests": ("Requests of clients that have not left", self.open_requests()),
            "engine_running": ("Sequences in the batch", stats["running"]),
            "engine_waiting": ("Requests that wait for admission", stats["waiting"]),
            "engine_kv_usage_ratio": ("Share of the KV pages in use", 1 - stats["pages_available"] / stats["pages"]),
            "engine_preemptions": ("Preemptions since the start", stats["preemptions"]),
            "engine_forward_passes": ("Passes of the target model since the start", stats["passes"]),
            "engine_prefix_cache_hit_ratio": ("Prompt tokens found in the prefix cache", cache["hit_rate"] if cache else 0.0),
            "engine_draft_acceptance_ratio": ("Drafted tokens that were accepted", speculation["acceptance"] or 0.0),
        }
        for name, (text, value) in values.items():
            yield GaugeMetricFamily(name, text, value=float(value))

    def describe(self) -> Iterator[Metric]:
        return iter(())
