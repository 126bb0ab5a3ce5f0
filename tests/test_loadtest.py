"""The service answers the requests of loadtests/locustfile.py."""

from assay.testing import load


def test_what_the_load_test_sends_is_answered(service):
    requests, wrong = load(service)
    assert wrong == []
    assert requests > 0
