"""Win rates with intervals, calibration, over-optimisation. numpy."""
