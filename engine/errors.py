"""Everything that can go wrong in the engine, by name. A caller catches `EngineError` or one of its kinds."""

from __future__ import annotations


class EngineError(Exception):
    """Root of the engine's errors. The message says what went wrong and what to do."""


class CheckpointError(EngineError):
    """A checkpoint is missing, broken or of an unsupported kind; the message names the file and the key."""


class RequestError(EngineError, ValueError):
    """A request that could never be served: bad parameters, no tokens, an unknown adapter."""


class PromptTooLong(RequestError):
    """A request needs more positions or pages than the model or the whole pool has."""


class QueueFull(EngineError):
    """The admission limit is reached; the caller retries later."""


class OutOfPages(EngineError):
    """The pool has no free page. The scheduler answers this by evicting or preempting; nobody else should see it."""


class PageError(EngineError):
    """A page was freed twice, shared while free, or written while shared: a bug in the caller."""


class EngineBroken(EngineError):
    """A step failed, and what it left behind can't be trusted: the engine serves no more, and its process had better end."""


class ConstraintError(EngineError, ValueError):
    """A grammar or schema can't be compiled, or a token outside its mask was given to `advance`."""
