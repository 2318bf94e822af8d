"""The module `roofline` that a submission may import: the exceptions that the engine raises."""


class EngineError(Exception):
    """The engine refused a call. Nothing of that call happened."""


class OutOfBlocks(EngineError):
    """The block pool can't hold what the call would write."""


class BudgetExceeded(EngineError):
    """The call passes a limit of the engine: tokens or sequences of a step, or the longest sequence."""


class BadHandle(EngineError):
    """A sequence that was never opened, or is closed."""


class BadRequest(EngineError):
    """Arguments that no call of the engine can mean."""


KINDS = {kind.__name__: kind for kind in (EngineError, OutOfBlocks, BudgetExceeded, BadHandle, BadRequest)}
