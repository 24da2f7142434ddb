"""What the sockets of a worker remember, and forget."""

from meterway.edge.openai.responses.recall import Recall


def test_a_history_is_found_on_its_own_socket_alone():
    recall = Recall()

    recall.put("a", "resp_1", (b"[1]", b"[2]"))

    assert recall.get("a", "resp_1") == (b"[1]", b"[2]")
    assert recall.get("b", "resp_1") is None
    assert recall.get("a", "resp_2") is None


def test_a_socket_has_its_last_few_responses():
    recall = Recall(each=2)

    for id_ in ("resp_1", "resp_2", "resp_3"):
        recall.put("a", id_, (b"[]",))

    assert recall.get("a", "resp_1") is None
    assert recall.get("a", "resp_2") == recall.get("a", "resp_3") == (b"[]",)
    assert recall.held == 4


def test_over_the_bytes_of_all_what_was_used_least_lately_goes():
    recall = Recall(most=10)
    recall.put("a", "resp_1", (b"12345",))
    recall.put("b", "resp_2", (b"12345",))
    recall.get("a", "resp_1")

    recall.put("c", "resp_3", (b"1234",))

    assert recall.get("b", "resp_2") is None
    assert recall.get("a", "resp_1") is not None
    assert recall.get("c", "resp_3") is not None
    assert recall.held == 9


def test_what_is_larger_than_all_of_it_is_not_remembered_and_drives_nothing_out():
    recall = Recall(most=10)
    recall.put("a", "resp_1", (b"12345",))

    recall.put("a", "resp_2", (b"x" * 11,))

    assert recall.get("a", "resp_1") is not None
    assert recall.get("a", "resp_2") is None


def test_a_socket_that_ended_leaves_nothing_behind():
    recall = Recall()
    recall.put("a", "resp_1", (b"[]",))
    recall.put("b", "resp_2", (b"[]",))

    recall.drop("a")
    recall.drop("never seen")

    assert recall.get("a", "resp_1") is None
    assert recall.get("b", "resp_2") is not None
    assert recall.held == 2
