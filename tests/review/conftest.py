from tests.live.conftest import bank, make

__all__ = ["bank", "make"]
