"""A continuous batcher: fill in the methods. The brief says what each must do."""



class ContinuousBatcher:
    def __init__(self, engine, max_running: int):
        self.engine = engine
        self.max_running = max_running

    def add(self, request_id: str, prompt: list[int], max_new_tokens: int, stop: list[int]) -> None:
        raise NotImplementedError("add")

    def abort(self, request_id: str) -> bool:
        raise NotImplementedError("abort")

    def has_work(self) -> bool:
        return False

    def step(self) -> list[tuple[str, int, str | None]]:
        raise NotImplementedError("step")
