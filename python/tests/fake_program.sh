#!/bin/sh
# The program ingot for tests: it notes what it is told and copies what it would push.
#
# FAKE_PROGRAM is a folder. Of its file "answers" each call takes the first line: the exit
# code and the JSON that it prints. Without one it is done. While there is a file "hold"
# it waits.
set -eu
cd "$FAKE_PROGRAM"
call=0
while [ -e "call$call" ]; do call=$((call + 1)); done
printf '%s\0' "$@" >"call$call"
[ "$1" != push ] || cp -r "$2" "pushed$call"
while [ -e hold ]; do sleep 0.01; done
status= document=
if [ -e answers ]; then
	read -r status document <answers || true
	sed -i 1d answers
fi
if [ "${status:-0}" != 0 ]; then
	printf '%s\n' "$document" >&2
	exit "$status"
fi
printf '%s\n' "${document:-{\"digest\": \"$(printf %064x "$call")\"\}}"
