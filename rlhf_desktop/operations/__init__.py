"""What the window and the command line both do: each operation joins the store, the jobs and the library."""
