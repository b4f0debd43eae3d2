# Sourced by the setup scripts: apt PACKAGE... installs Debian packages, or says
# by which command a person can.
apt() {
	local as=()
	if [ "$(id -u)" != 0 ]; then as=(sudo); fi
	if ! command -v apt-get >/dev/null || { [ ${#as[@]} -gt 0 ] && ! command -v sudo >/dev/null; }; then
		echo "setup: missing $*: install it as root, e.g. apt-get install $*" >&2
		exit 1
	fi
	"${as[@]}" apt-get update -qq >&2
	"${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}
