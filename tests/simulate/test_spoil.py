import pytest

from tidegauge.config import Limits
from tidegauge.errors import Rejected
from tidegauge.events import Decoder
from tidegauge.simulate.spoil import KINDS

AT_MS = 1_700_000_000_000
PREDICTION = {
    "prediction_id": "a",
    "model_id": "m",
    "model_version": "v",
    "prediction": 1.0,
    "predicted_at": AT_MS,
}
LABEL = {"prediction_id": "a", "label": True, "labelled_at": AT_MS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_the_product_rejects_each_kind_of_broken_message(kind):
    decoder = Decoder(Limits())
    with pytest.raises(Rejected):
        decoder.prediction(kind(PREDICTION), AT_MS)
    with pytest.raises(Rejected):
        decoder.label(kind(LABEL), AT_MS)
