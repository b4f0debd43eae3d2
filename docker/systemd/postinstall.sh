#!/bin/sh
# After a package is installed: makes the user that the units run as.
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers ingot.conf
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
