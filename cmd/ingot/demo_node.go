package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
)

// demoNode is what an agent of the demonstration did. Its JSON is a contract.
type demoNode struct {
	RAM     int64   `json:"ram_bytes"`  // that all versions take together
	Disk    int64   `json:"disk_bytes"` // likewise
	Seconds float64 `json:"lease_seconds"`
}

// demoRoom is memory beyond the models' own bytes: pages that are not full, and
// what the node has to know.
const demoRoom = 64 << 20

// nodeAll has an agent load all models into memory, leases each, and compares what
// is there with what was pushed.
func (d *demo) nodeAll(ctx context.Context) (err error) {
	socket, remove, err := d.socket()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	stop, err := d.startNode(ctx, socket)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // an agent needs the shared memory of Linux
	}
	if err != nil {
		return err
	}
	err = d.loadAll(ctx, socket)
	return errors.Join(err, stop())
}

// socket returns a path for the agent's socket, and what removes what it made: the
// folder of the demonstration may be too deep for one.
func (d *demo) socket() (path string, remove func() error, err error) {
	const base = "agent.sock"
	if path = filepath.Join(d.dir, base); len(path) <= maxSocketPath {
		return path, func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp(sharedFolder, "ingot-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the agent's socket: %w", err)
	}
	return filepath.Join(dir, base), func() error { return os.RemoveAll(dir) }, nil
}

// startNode starts an agent. The returned function stops it.
func (d *demo) startNode(ctx context.Context, socket string) (stop func() error, err error) {
	room := int64(demoRoom)
	for _, m := range d.models {
		room += m.Push.BytesTotal + m.Push.BytesTotal/8
	}
	node, err := nodecache.Open(nodecache.Config{
		Registry: d.address, Data: filepath.Join(d.dir, "node"), Disk: room, RAM: room, Heartbeat: -1, Version: version,
	})
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start an agent for the demo: %w", err), node.Close())
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- node.Serve(serving, listener, nil) }()
	return func() error { cancel(); return errors.Join(<-done, node.Close()) }, nil
}

func (d *demo) loadAll(ctx context.Context, socket string) error {
	a, err := agent.New(socket, agent.Options{})
	if err != nil {
		return err
	}
	defer a.Close()
	if !d.p.json {
		d.p.printf("\n")
	}
	d.row("load", "plain", "received", "reused", "equal files", "seconds")
	for _, m := range d.models {
		if err := d.load(ctx, a, m); err != nil {
			return fmt.Errorf("load %s: %w", m.Name, err)
		}
		got := m.Load
		d.row(m.Name, size(got.BytesTotal), size(got.BytesReceived), size(got.BytesReused), of(m.Leased, len(m.sums)), fmt.Sprintf("%.2f", got.Seconds))
	}
	status, err := a.Status(ctx)
	d.node.RAM, d.node.Disk = status.Tiers.RAM.Used, status.Tiers.Disk.Used
	return err
}

// load has the agent load a model, leases it, and compares its files in memory.
func (d *demo) load(ctx context.Context, a *agent.Agent, m *demoModel) (err error) {
	ref := d.ref(m).String()
	if m.Load, err = a.Load(ctx, openapi.LoadRequest{Ref: ref, Tier: openapi.TierRAM}); err != nil {
		return err
	}
	began := time.Now()
	l, err := a.Lease(ctx, openapi.LeaseRequest{Ref: ref, Client: "demo"}, agent.LeaseOptions{})
	if err != nil {
		return err
	}
	d.node.Seconds += time.Since(began).Seconds() / float64(len(d.models))
	leased := map[string]string{}
	for _, f := range l.Files() {
		h := sha256.New()
		if _, err := l.ReadFile(f.Path, h); err != nil {
			return errors.Join(err, l.Close())
		}
		leased[f.Path] = hex.EncodeToString(h.Sum(nil))
	}
	if m.Leased, err = m.compare(leased); err != nil {
		return errors.Join(err, l.Close())
	}
	return l.Close()
}
