"""What a person has to put right is one sentence, and exit status 1."""

from pathlib import Path

from tests.device.client.house import TASKS, ClientProcess, main_server, write_mnist

OTHER_TASKS = """
    [tasks.letters]
    classes = ["b", "a"]
    architecture = "mnist_mlp"

    [tasks.reversed]
    classes = ["3", "2", "1", "0"]
    architecture = "mnist_mlp"
"""


def test_each_is_told(tmp_path: Path) -> None:
    data = write_mnist(tmp_path / "data")
    server = main_server(
        tmp_path / "main_server", TASKS + OTHER_TASKS, JOIN_TOKEN="open sesame, open"
    )
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("open sesame, open\n")
    wrong.write_text("open barley, open\n")
    client = ClientProcess(tmp_path / "alice", server.url, data, join_token_file=right)

    def told(**options: object) -> str:
        before = len(client.output)
        assert client.run(**options) == 1, client.output
        said = client.output[before:]
        assert "Traceback" not in said
        (sentence,) = (line for line in said.splitlines() if line.startswith("Error: "))
        return sentence

    try:
        # Before anything is asked of the main server, which does not run yet.
        nowhere = tmp_path / "nowhere"
        assert f"There is no folder {nowhere}" in told(data=nowhere)
        assert "join-token-file" in told(join_token_file=nowhere)
        assert "Error: --server: 'example.org' is no address" in told(server="example.org")
        assert "Error: --id: " in told(id="Alice!")
        assert "--shards: there is no chunk 0; chunks are counted from 1" in told(shards=(0, 3))
        assert "--shards: the first chunk, 3, comes after the last one" in told(shards=(3, 2))
        assert "--authority is for TLS, and http://" in told(authority=right)
        assert "is a key without its certificate" in told(server="https://localhost", key=right)
        assert "leave one of them out" in told(rounds=2, once=None)
        server.start()
        assert "join token" in told(join_token_file=wrong)
        assert "no task digits. Its tasks: mnist, letters, reversed." in told(task="digits")
        assert "There is no chunk 13" in told(shards=(1, 13))
        assert "label n is class n" in told(task="reversed")
        empty = tmp_path / "empty"
        empty.mkdir()
        assert "holds no data set" in told(data=empty)
        token = client.state / "token"
        token.write_text("another token, long enough to be taken for one")
        assert "alice is enrolled with another token" in told()
    finally:
        client.kill()
        server.stop()
        server.http.close()
