"""What the manifest holds of a fitted squeeze model."""

from __future__ import annotations

from serving.feature_schema import FeatureSchema
from serving.squeeze import HORIZONS, LEVELS, SIDES, SqueezeParameters
from training.squeeze.model import SqueezeModel

__all__ = ["squeeze_parameters"]


def squeeze_parameters(model: SqueezeModel, per_day: int) -> SqueezeParameters:
    """Schema, offsets and tails, JSON-ready; ``per_day`` is how many bars a day has."""
    offsets = model.offsets.reshape(len(SIDES), len(HORIZONS), len(LEVELS))
    tails = [(one.shape, one.scale) for one in model.tails]
    return SqueezeParameters(
        features=[
            FeatureSchema.model_validate(feature.schema(per_day)) for feature in model.settings.selected()
        ],
        levels=list(LEVELS),
        horizons=list(HORIZONS),
        offsets={side: offsets[index].tolist() for index, side in enumerate(SIDES)},
        tails={
            side: tails[index * len(HORIZONS) : (index + 1) * len(HORIZONS)]
            for index, side in enumerate(SIDES)
        },
        symbols={
            name: row.reshape(len(SIDES), len(HORIZONS)).tolist()
            for name, row in zip(model.symbols, model.shifts, strict=True)
        },
        rows=model.rows,
        weeks=round(model.weeks, 3),
    )
