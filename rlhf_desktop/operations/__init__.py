"""What the window and the command line both do: each function joins the store, the jobs and the models. No Qt, no torch."""
