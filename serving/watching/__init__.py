"""What the service tells about itself: metrics, one log line for each request, the prediction log.

Nothing here is waited for: it is told once the answer is on its way, and what fails here fails no request.
"""

from serving.watching.current_state import CurrentState
from serving.watching.logs import configure_logs
from serving.watching.metrics import metrics
from serving.watching.prediction_files import close_days, read_predictions
from serving.watching.prediction_log import PredictionLog
from serving.watching.request_record import RequestRecord, note_answer, note_key
from serving.watching.route_names import RouteNames
from serving.watching.watch import Watch
from serving.watching.watch_layer import WatchLayer

__all__ = [
    "CurrentState",
    "PredictionLog",
    "RequestRecord",
    "RouteNames",
    "Watch",
    "WatchLayer",
    "close_days",
    "configure_logs",
    "metrics",
    "note_answer",
    "note_key",
    "read_predictions",
]
