"""The inference engine: exact, small enough to read in an evening. See ``docs/engine.md``."""

from engine.batch import Batch
from engine.checkpoint import checkpoint_path, load_checkpoint
from engine.kv import PagedKV
from engine.llm import LLM
from engine.params import RequestOutput, SamplingParams

__all__ = ["LLM", "Batch", "PagedKV", "RequestOutput", "SamplingParams", "checkpoint_path", "load_checkpoint"]
