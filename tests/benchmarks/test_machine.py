import torch
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.machine import use_threads


def test_every_library_with_threads_of_its_own_is_bound():
    before = torch.get_num_threads()
    with threadpool_limits():  # puts back what was
        for threads in (2, 1):
            use_threads(threads)
            assert torch.get_num_threads() == threads
            assert {pool["num_threads"] for pool in threadpool_info()} == {threads}
        blas = [pool["filepath"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        assert any("numpy" in path for path in blas) and any("faiss" in path for path in blas)
    torch.set_num_threads(before)
