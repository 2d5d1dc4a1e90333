# Subcommands find the server by its data directory.
export UMBRELLA_DATA_DIR="${UMBRELLA_DATA_DIR:-/etc/umbrella}"
