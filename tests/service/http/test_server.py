import socket

from service.http.server import listen


def test_an_answer_is_sent_at_once() -> None:
    """Nagle's algorithm would hold every body back until the client's delayed acknowledgement."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
