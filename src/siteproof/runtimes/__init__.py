"""How containerd, dockerd and image names behave, as their code has it. Knows neither hosts nor facts."""
