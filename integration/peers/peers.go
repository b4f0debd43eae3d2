package main

// peer is one way to keep versions of a model, as shell commands. They find the
// folder to push in $SRC, the folder to make by a pull in $DST, the version's
// name in $TAG, an empty folder of their own in $WORK, of which $WORK/store is
// what is kept, and the address of their server in $ADDR.
type peer struct {
	name  string
	serve string // runs until it is killed; empty where no server is needed
	setup string // once, when the server answers
	push  string
	pull  string
	// pullNext pulls the variant after a pull of the base by warm, where a
	// client keeps what it has pulled; without one, pull is used again.
	warm, pullNext string
}

// peers are run with their defaults, as a newcomer would run them.
var peers = []peer{
	{
		name: "cp -r",
		push: `cp -r "$SRC" "$WORK/store/$TAG"`,
		pull: `cp -r "$WORK/store/$TAG" "$DST"`,
	},
	{
		name: "tar, zstd -3",
		push: `tar -C "$SRC" -c . | zstd -q -3 -T0 -o "$WORK/store/$TAG.tar.zst"`,
		pull: `mkdir "$DST" && zstd -q -dc "$WORK/store/$TAG.tar.zst" | tar -C "$DST" -x`,
	},
	{
		name:  "borg",
		setup: `borg init -e none "$WORK/store"`,
		push:  `cd "$SRC" && borg create "$WORK/store::$TAG" .`,
		pull:  `mkdir "$DST" && cd "$DST" && borg extract "$WORK/store::$TAG"`,
	},
	{
		name: "casync",
		push: `casync make --store="$WORK/store/chunks.castr" "$WORK/store/$TAG.caidx" "$SRC"`,
		pull: `casync extract --store="$WORK/store/chunks.castr" "$WORK/store/$TAG.caidx" "$DST"`,
	},
	{
		name:  "mc, MinIO",
		serve: `exec minio server --quiet --address "$ADDR" "$WORK/store"`,
		setup: `until mc --quiet mb peer/models; do sleep 0.1; done`,
		push:  `mc --quiet cp -r "$SRC/" "peer/models/$TAG/"`,
		pull:  `mc --quiet cp -r "peer/models/$TAG/" "$DST/"`,
	},
	{
		name:     "ingot",
		serve:    `exec ingot serve --data "$WORK/store" --listen "$ADDR"`,
		push:     `ingot push "$SRC" "bench/model:$TAG" --registry "http://$ADDR" --json`,
		pull:     `ingot pull "bench/model:$TAG" "$DST" --registry "http://$ADDR" --json --no-cache`,
		warm:     `ingot pull bench/model:base "$DST" --registry "http://$ADDR" --json --cache "$WORK/cache"`,
		pullNext: `ingot pull "bench/model:$TAG" "$DST" --registry "http://$ADDR" --json --cache "$WORK/cache"`,
	},
}

// environ is what the commands of every peer see beside the variables above.
func environ(bin, work, addr string) []string {
	return []string{
		"PATH=" + bin, "WORK=" + work, "ADDR=" + addr, "HOME=" + work,
		"BORG_BASE_DIR=" + work, "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
		"MINIO_UPDATE=off", "MC_CONFIG_DIR=" + work + "/mc",
		"MC_HOST_peer=http://minioadmin:minioadmin@" + addr,
	}
}
