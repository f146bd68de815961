# Barid's chores. Each recipe is a `cargo xtask` command: `cargo xtask <command> --help` tells its options.

[private]
default:
    @just --list

# Start a whole Barid on this machine and run the demo; Ctrl-C stops it
up *options:
    cargo xtask up {{ options }}

# Stop what `just up --detach` left running
down:
    cargo xtask down

# Restart one process of a running Barid: a service, simulator, postgres, nats or redis
restart name *options:
    cargo xtask restart {{ name }} {{ options }}

# Check everything and run every test on private servers
test *options:
    cargo xtask test {{ options }}

# Send the demo's messages through a running Barid
demo *options:
    cargo xtask demo {{ options }}

# Break things under load on a Barid of its own and judge; `just chaos --list` tells what there is
chaos *options:
    cargo xtask chaos {{ options }}

# Regenerate the Rust code of proto/
proto *options:
    cargo xtask proto {{ options }}
