"""WSO2 servers: which file of which product takes members, and how such a file is patched."""
