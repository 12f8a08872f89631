"""The few parts every screen is built from. They show, and emit what happened; they decide nothing."""
