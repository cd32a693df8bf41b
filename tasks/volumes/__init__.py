"""From forecasts and assumptions to what every component must carry: the model, its peaks, tables and figures."""
