"""The OpenAPI document: what it promises holds for requests that schemathesis invents, and none of them is a 500."""

from typing import Any, get_args

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance
from serving import running, settings
from streams import random_denoiser

from gtcrn.audio.pcm import ENCODINGS
from gtcrn_server.app import create_app
from gtcrn_server.messages import Encoding

Case = schemathesis.Case[Any]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_no_invented_request_is_a_server_error(mode: schemathesis.GenerationMode) -> None:
    """Requests as the document describes them, and requests that break its rules."""
    with running(random_denoiser(), max_streams=1_000_000, max_message_bytes=4096, drain_seconds=0) as service:
        document = schemathesis.openapi.from_url(f"{service.http}/openapi.json")
        operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
        assert len(operations) == 11
        unchecked = []
        for operation in operations:
            try:
                _check(operation.as_strategy(generation_mode=mode))
            except hypothesis.errors.Unsatisfiable:  # nothing about it can be wrong
                unchecked.append(operation.label)
    assert unchecked == ([] if mode.is_positive else ["GET /healthz", "GET /readyz"])


def _check(strategy: hypothesis.strategies.SearchStrategy[Case]) -> None:
    @hypothesis.settings(max_examples=20)
    @hypothesis.given(case=strategy)
    def check(case: Case) -> None:
        case.call_and_validate(checks=[not_a_server_error, content_type_conformance, status_code_conformance])

    check()


def test_every_route_tells_its_faults() -> None:
    document = create_app(settings(), random_denoiser()).openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert {"403", "422"} < set(operation["responses"]), f"{method} {path}"
            if "streams" in path or "denoise" in path:
                assert {"401"} < set(operation["responses"]), f"{method} {path}"
    assert document["components"]["schemas"]["Fault"]["example"]["code"] == "busy"
    assert "example" in document["components"]["schemas"]["Options"]


def test_streams_take_encodings_that_pcm_knows() -> None:
    assert set(get_args(Encoding)) <= set(ENCODINGS)
