"""Selection of the best epoch, against a plain search of the values."""

import keras
import numpy as np
import pytest

from indl.training.selection import BestWeights


def run(values, **kwargs):
    """The callback after epochs with these values of the metric; the model's weight is the number of the epoch."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    callback = BestWeights("metric", **kwargs)
    callback.set_model(model)
    model.stop_training, done = False, 0
    for epoch, value in enumerate(values):
        model.set_weights([np.full((1, 1), float(epoch))])
        callback.on_epoch_end(epoch, {"metric": value})
        done = epoch
        if model.stop_training:
            break
    callback.on_train_end()
    return callback, float(model.get_weights()[0][0, 0]), done


def test_least_value_from_the_first_epoch_on():
    callback, weight, _ = run([1.0, 5.0, 3.0, 4.0, 3.0], first=1)
    assert (callback.epoch, weight, callback.best) == (2, 2.0, 3.0)


def test_last_weights_stay_where_no_epoch_could_be_chosen():
    callback, weight, _ = run([3.0, 2.0], first=5)
    assert callback.epoch is None and weight == 1.0


def test_values_that_are_not_finite_are_not_chosen():
    callback, weight, _ = run([np.nan, 2.0, np.nan, np.inf])
    assert callback.epoch == 1 and weight == 1.0


@pytest.mark.parametrize("patience, stops", [(0, 6), (1, 2), (2, 3), (3, 6)])
def test_patience_counts_epochs_without_improvement_from_the_first_on(patience, stops):
    _, _, done = run([5.0, 4.0, 4.5, 4.2, 3.0, 9.0, 9.0], patience=patience)
    assert done == stops


def test_state_goes_on_where_it_was():
    whole, _, _ = run([3.0, 2.0, 4.0])
    half, _, _ = run([3.0, 2.0])
    again = BestWeights("metric")
    again.set_model(half.model)
    again.restore(half.state())
    again.on_epoch_end(2, {"metric": 4.0})
    assert (again.best, again.epoch, again.waited) == (whole.best, whole.epoch, whole.waited)
    np.testing.assert_array_equal(again.weights[0], whole.weights[0])


def test_metric_that_is_not_logged():
    with pytest.raises(ValueError, match="monitor='metric'.*loss"):
        callback = BestWeights("metric")
        callback.on_epoch_end(0, {"loss": 1.0})
