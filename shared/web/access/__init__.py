"""Who may do what: people with a role, devices with a token, the main server with a proof."""
