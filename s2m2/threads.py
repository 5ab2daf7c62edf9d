"""How many CPU threads torch uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one CPU thread, and on as many as before afterwards.

    For work of many small operations: a second thread gains next to nothing on them, and where other processes load the machine
    the threads wait for one another at every single one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
