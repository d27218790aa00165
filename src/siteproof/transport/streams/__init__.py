"""TCP conversations that leave from a host, spoken on our side."""
