import asyncio

import pytest

from benchmarks.http_load import Load, as_fast_as_answered, at_rate, request


class Server:
    """Answers every call; each third with 429, and the last on a connection with the word that it ends."""

    def __init__(self, *, calls_per_connection=10**9):
        self.calls_per_connection = calls_per_connection
        self.connections = 0
        self.bodies = []

    async def serve(self, work):
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        async with server:
            return await work(server.sockets[0].getsockname()[1])

    async def answer(self, reader, writer):
        self.connections += 1
        for number in range(self.calls_per_connection):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.bodies.append(await reader.readexactly(length))
            status = 429 if len(self.bodies) % 3 == 0 else 200
            ending = "Connection: close\r\n" if number == self.calls_per_connection - 1 else ""
            part = f"HTTP/1.1 {status} x\r\n{ending}Content-Le".encode()
            writer.write(part)
            await writer.drain()
            writer.write(b"ngth: 2\r\n\r\n{}")
        writer.close()


def run(server, work):
    return asyncio.run(server.serve(work))


def test_every_call_is_answered_and_counted_by_its_status():
    server = Server()
    calls = [request("POST", "/v1/x", b"one"), request("POST", "/v1/x", b"two")]
    load = run(server, lambda port: at_rate(port, calls, rate=300, seconds=0.5, seed=0))
    assert set(load.statuses) == {200, 429} and load.statuses.total() == len(server.bodies) > 50
    assert len(load.latencies) == load.answered and len(load.refused_latencies) == load.statuses[429]
    assert set(server.bodies) == {b"one", b"two"}


def test_a_load_without_a_rate_keeps_as_many_connections_busy():
    server = Server()
    load = run(server, lambda port: as_fast_as_answered(port, [request("GET", "/", b"")], connections=3, seconds=0.3))
    assert server.connections == 3 and load.statuses.total() == len(server.bodies) > 30


def test_a_connection_that_ends_is_not_used_again():
    server = Server(calls_per_connection=5)
    calls = [request("GET", "/", b"")]
    load = run(server, lambda port: as_fast_as_answered(port, calls, connections=1, seconds=0.3))
    assert load.statuses[0] == 0 and server.connections == pytest.approx(len(server.bodies) / 5, abs=1)


def test_rates_are_of_whole_windows():
    load = Load(answered_at=[0.1, 0.2, 0.6, 1.1], seconds=1.2)
    assert load.rates(0.5).tolist() == [4.0, 2.0]


def test_latency_of_a_share_is_that_quantile():
    load = Load(latencies=[0.01, 0.02, 0.03])
    assert load.latency_ms(0.5) == pytest.approx(20) and load.latency_ms(1.0) == pytest.approx(30)
