package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ingot-ml/ingot/integration/measure"
)

// store is one way to keep checkpoints, as shell commands. They find the folder to
// keep in $SRC, the folder to make in $DST, the checkpoint's name in $TAG, an empty
// folder of their own in $WORK, of which $WORK/store is what is weighed, the address
// of their server in $ADDR, and the folder of this program in $HERE.
type store struct {
	name       string
	serve      string // runs until it is killed; empty where no server is needed
	setup      string
	keep, make string
	// tidy, if any, makes the store smaller once all is in it.
	tidy string

	work    string
	program string // ingot
	env     []string
	stop    func()
	empty   float64 // what it takes with nothing in it, in MB
}

// registry is ingot.
func registry() *store {
	return &store{
		name:  "ingot",
		serve: `exec ingot serve --data "$WORK/store" --listen "$ADDR" --log-level warn`,
		setup: `until ingot ls >"$WORK/listed" 2>&1; do sleep 0.1; done`,
		keep:  `ingot push "$SRC" "bench/model:$TAG" --json >>"$WORK/receipts"`,
		make:  `ingot pull "bench/model:$TAG" "$DST" --json --no-cache`,
		tidy:  `ingot compact bench/model --json`,
	}
}

// stores are run with their defaults; ingot is the first.
func stores() []*store {
	return []*store{
		registry(),
		{
			name:  "borg",
			setup: `borg init -e none "$WORK/store"`,
			keep:  `cd "$SRC" && borg create "$WORK/store::$TAG" .`,
			make:  `mkdir "$DST" && cd "$DST" && borg extract "$WORK/store::$TAG"`,
		},
		{
			name: "hf_xet",
			keep: `python "$HERE/xet.py" put "$WORK/store" "$SRC" "$WORK/$TAG.json"`,
			make: `python "$HERE/xet.py" get "$WORK/store" "$WORK/$TAG.json" "$DST"`,
		},
	}
}

// start empties the store's folder and starts its server, if it has one.
func (b *bench) start(s *store) error {
	s.work, s.program, s.stop = filepath.Join(b.work, s.name), b.program, func() {}
	if err := errors.Join(os.RemoveAll(s.work), os.MkdirAll(filepath.Join(s.work, "store"), 0o777)); err != nil {
		return fmt.Errorf("empty the work folder: %w", err)
	}
	addr, err := measure.FreeAddress()
	if err != nil {
		return err
	}
	s.env = []string{
		"PATH=" + b.path, "WORK=" + s.work, "ADDR=" + addr, "HERE=" + b.here, "HOME=" + s.work,
		"INGOT_REGISTRY=http://" + addr, "BORG_BASE_DIR=" + s.work,
		"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes", "HF_HUB_DISABLE_TELEMETRY=1",
	}
	if s.serve != "" {
		cmd := exec.Command("bash", "-c", s.serve)
		cmd.Env, cmd.Stderr = s.env, os.Stderr
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start the server: %w", err)
		}
		s.stop = func() { _, _ = cmd.Process.Kill(), cmd.Wait() }
		if err := measure.Await(addr); err != nil {
			return err
		}
	}
	if s.setup != "" {
		if err := measure.Shell(s.env, s.setup); err != nil {
			return err
		}
	}
	s.empty, err = measure.Megabytes(filepath.Join(s.work, "store"))
	return err
}

// put keeps a folder.
func (s *store) put(dir, tag string) error {
	return measure.Shell(append(s.env, "SRC="+dir, "TAG="+tag), s.keep)
}

// get makes a folder again; what is there already is left for the command to use.
func (s *store) get(tag, dir string) ([]byte, error) {
	_, out, err := measure.Clock(append(s.env, "TAG="+tag, "DST="+dir), s.make)
	return out, err
}

// weight is what the store takes for what is in it, in MB.
func (s *store) weight() (float64, error) {
	all, err := measure.Megabytes(filepath.Join(s.work, "store"))
	return all - s.empty, err
}
