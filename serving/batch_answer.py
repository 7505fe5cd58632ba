"""A batch from its bytes to the bytes of its answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pandas as pd

from features.errors import BearmodeError
from serving.batch_body import split_batch
from serving.batch_schemas import BatchAnswer, BatchResult
from serving.error_schemas import error_detail
from serving.finite import non_finite
from serving.request_parsing import PredictRequestBody
from serving.schemas import Answer, PredictRequest
from serving.web_errors import RequestRefusedError

if TYPE_CHECKING:
    from serving.live_model import AnyPredictor

__all__ = ["read_batch", "results_of"]

logger = logging.getLogger("bearmode.serving")


def read_batch(body: bytes, item_limit: int) -> list[PredictRequest | BearmodeError]:
    """The windows of a batch, each read as the body of a single request is.

    Parameters
    ----------
    body : bytes
    item_limit : int
        Bytes of one window.

    Raises
    ------
    RequestRefusedError
        If the body is no batch.
    """
    found: list[PredictRequest | BearmodeError] = []
    for one in split_batch(body):
        if isinstance(one, RequestRefusedError):
            found.append(one)
        elif len(one) > item_limit:
            text = f"the window has {len(one):,} bytes, at most {item_limit:,} are taken"
            found.append(RequestRefusedError(413, text))
        else:
            request = PredictRequestBody.model_validate_json(one)
            found.append(request if request.refusal is None else request.refusal)
    return found


def results_of(
    predictor: AnyPredictor, requests: list[PredictRequest | BearmodeError], *, now: pd.Timestamp
) -> BatchAnswer:
    """Answer a batch; whatever is wrong with one window stops no other.

    Parameters
    ----------
    predictor : AnyPredictor
    requests : list of PredictRequest or BearmodeError
    now : pandas.Timestamp
        Stands in for ``as_of`` where a request names none.
    """
    # Not above: the supervisor of the workers imports the service and runs no model.
    from serving.batch import answer_batch  # noqa: PLC0415
    from serving.batch_portfolio import batch_portfolio  # noqa: PLC0415

    results = []
    for index, one in enumerate(answer_batch(predictor, requests, now=now)):
        answer = one if isinstance(one, Answer) else None
        error = one if isinstance(one, BearmodeError) else None
        path = None if answer is None else non_finite(answer.model_dump())
        if path is not None:
            logger.error("%s of answer %d of a batch is not finite", path, index)
            answer, error = None, BearmodeError("the service failed on this window")
        detail = None if error is None else error_detail(error)
        results.append(BatchResult.model_construct(index=index, answer=answer, error=detail))
    answered = sum(one.answer is not None for one in results)
    return BatchAnswer.model_construct(
        results=results,
        answered=answered,
        refused=len(results) - answered,
        model_version=predictor.version,
        portfolio=batch_portfolio(requests, [one.answer for one in results]),
    )
