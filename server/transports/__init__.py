"""The ways audio comes in and goes out: WebSocket, REST streams, one request both ways, files."""
