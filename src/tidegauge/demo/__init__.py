"""Two models of real flights, monitored through a year whose labels come hours late."""
