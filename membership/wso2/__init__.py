"""WSO2 servers: which file of which product takes members, how it is patched, and how files get into its image."""
