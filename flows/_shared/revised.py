"""A frozen model with other values, which go through its validators as the first ones did."""

from typing import TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)


def revised(model: Model, **changes: object) -> Model:
    """The model with these fields changed. pydantic's own ``model_copy(update=)`` checks nothing.

    Raises:
        ValidationError: a changed value is refused, as it would be in the model made anew.
    """
    kept = {name: getattr(model, name) for name in model.model_fields_set}
    return type(model).model_validate({**kept, **changes})
