//go:build linux

package mover_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

// TestMain is also the mover of the tests: with arguments as the agent gives them it
// serves descriptor 3.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "mover" {
		if err := serve(os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "agent" {
		if err := agent(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// agent has a mover until it is killed.
func agent(device string) error {
	uuid, err := cuda.ParseUUID(device)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if _, err := mover.Start(mover.Config{Command: []string{self, "mover"}, UUID: uuid}); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}

// serve is the mover. Its ring is small, so that tests go round it.
func serve(device string) error {
	uuid, err := cuda.ParseUUID(device)
	if err != nil {
		return err
	}
	c, err := net.FileConn(os.NewFile(3, "agent"))
	if err != nil {
		return err
	}
	return mover.Serve(c.(*net.UnixConn), mover.Options{UUID: uuid, Staging: 1 << 20})
}
